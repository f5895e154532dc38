"""The links by which a person finds videos."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import Node
from stages.store.artifacts import Store
from stages.store.video_links import VideoLinks
from tests.builders import build_node, publish


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def made(store: Store, crf: int) -> Node:
    """A video file from a file, so that nothing has to be there before it."""
    node = build_node("export", inputs={}, from_file="a" * 32, crf=crf)
    publish(store, node, b"video %d" % crf)
    return node


def test_a_link_leads_to_the_newest_choice_and_survives_moving_the_store(store: Store, tmp_path: Path):
    links, one, other = VideoLinks(store), made(store, 1), made(store, 2)
    links.lead("demo", one)
    assert links.leads_to("demo", one)
    links.lead("demo", other)
    assert not links.leads_to("demo", one)
    shutil.move(tmp_path / "artifacts", tmp_path / "moved")
    assert (tmp_path / "moved/videos/demo.mp4").read_bytes() == b"video 2"


def test_a_link_that_is_removed_leaves_the_artifact(store: Store):
    links, node = VideoLinks(store), made(store, 1)
    links.lead("demo", node)
    links.remove("demo")
    links.remove("demo")
    assert not links.path("demo").is_symlink()
    assert store.payload("export", node.key).is_file()


@pytest.mark.parametrize("change", [VideoLinks.lead, lambda links, name, _node: links.remove(name)])
def test_what_stands_in_a_links_place_is_told_and_stays(store: Store, change: Callable[[VideoLinks, str, Node], None]):
    links, node = VideoLinks(store), made(store, 1)
    links.path("demo").mkdir(parents=True)
    with pytest.raises(StoreError, match=rf"^{links.path('demo')}: cannot be (made|removed) \(Is a directory\)\."):
        change(links, "demo", node)
    assert links.path("demo").is_dir()


def test_a_file_in_the_folders_place_is_told(store: Store):
    links, node = VideoLinks(store), made(store, 1)
    (store.root / "videos").write_text("")
    with pytest.raises(StoreError, match=r"demo.mp4: cannot be made \(File exists\)\. Move away what is in its place"):
        links.lead("demo", node)
