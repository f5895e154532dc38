"""The nearest earlier artifact of a node's video."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.explain.earlier import Earlier
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.request.graph import Graph
from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.video_links import VideoLinks
from tests.builders import PIPELINE
from tests.store.inventories import build_video, fill, set_age


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def find(store: Store, stage: str, *, is_draft: bool = False, **videos: Mapping[str, Node]) -> str | None:
    """The key of what a node of the first video is compared with."""
    graph = Graph(PIPELINE, videos, dict.fromkeys(videos, Checkpoint(Path())), {})
    node = next(iter(videos.values()))[stage]
    found = Earlier(store.root, take_inventory(store.root), graph, is_draft=is_draft).find(node)
    return None if found is None else found.key


def link(store: Store, name: str, nodes: Mapping[str, Node]) -> None:
    VideoLinks(store, suffix=".mp4").point_to(name, nodes["export"].artifact)


def test_it_is_what_the_link_of_the_video_was_made_from(store: Store):
    shown, other = build_video(seed=1), build_video(seed=2)
    fill(store, shown, other)
    link(store, "demo", shown)
    assert find(store, "denoise", demo=build_video(seed=3)) == shown["denoise"].key
    assert find(store, "export", demo=build_video(seed=3)) == shown["export"].key


def test_the_link_counts_also_for_another_prompt(store: Store):
    shown = build_video()
    fill(store, shown)
    link(store, "demo", shown)
    assert find(store, "encode", demo=build_video(prompt="A square.")) == shown["encode"].key


def test_without_a_link_it_is_what_agrees_most_of_the_same_prompt(store: Store):
    near, far = build_video(seed=3, fps=8), build_video(seed=1, fps=24)
    fill(store, near, far)
    assert find(store, "export", demo=build_video(seed=3, fps=12)) == near["export"].key


def test_of_several_that_agree_alike_it_is_the_one_that_was_used_last(store: Store):
    first, second = build_video(seed=1), build_video(seed=2)
    fill(store, first, second)
    for node in first.values():
        set_age(store, node, 10.0)
    for node in second.values():
        set_age(store, node, 20.0)
    assert find(store, "denoise", demo=build_video(seed=3)) == first["denoise"].key


def test_a_new_video_is_compared_with_no_other(store: Store):
    fill(store, build_video())
    assert find(store, "encode", harbour=build_video(prompt="A boat.")) is None
    assert find(store, "denoise", harbour=build_video(prompt="A boat.")) is None


def test_a_link_that_leads_to_nothing_says_nothing(store: Store):
    shown = build_video()
    fill(store, shown)
    link(store, "demo", shown)
    for node in shown.values():
        store.remove(node.artifact)
    assert find(store, "denoise", demo=build_video(seed=3)) is None


def test_an_empty_store_has_none(store: Store):
    assert find(store, "denoise", demo=build_video()) is None


def test_a_draft_is_compared_with_the_draft_before(store: Store):
    video, draft = build_video(seed=1), build_video(seed=2)
    fill(store, video, draft)
    link(store, "demo", video)
    link(store, "demo.draft", draft)
    wanted = build_video(seed=3)
    assert find(store, "denoise", is_draft=True, demo=wanted) == draft["denoise"].key
    assert find(store, "denoise", demo=wanted) == video["denoise"].key
