"""The size of a run that makes videos of sweeps."""

from collections.abc import Collection
from pathlib import Path

import pytest

from stages.run.build import Build
from stages.run.freshness import Due
from stages.run.size import describe_size
from tests.project import copy_params
from tests.request.sweeps import write_sweep
from tests.run.fakes import FakeStore, fake_build

SWEEP = 'encode.prompt = ["A circle.", "A square."]\ndenoise.seed = "1..3"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where the fake store has its folder
    write_sweep(copy_params(tmp_path), SWEEP)
    return tmp_path


def names_of(build: Build, *videos: str) -> list[str]:
    """Names of all tasks of some videos, or of all."""
    chosen = videos or tuple(build.graph.videos)
    return [*(node.title for video in chosen for node in build.graph.videos[video].values()), *chosen]


def make(build: Build, store: FakeStore, video: str) -> None:
    store.fresh |= {node.artifact for node in build.graph.videos[video].values()}


def say(build: Build, *videos: str) -> list[str]:
    """What is said of a run of these videos before anything runs."""
    said: list[str] = []

    def announce(due: Due, names: Collection[str]) -> None:
        if size := describe_size(build.graph, due, names):
            said.append(size)

    build.check(names_of(build, *videos), build.demand(), announce)
    return said


def test_what_is_shared_counts_once(root: Path):
    build, _, _ = fake_build(root, {})
    sweep = build.graph.sweeps["harbour"]
    assert say(build, *sweep) == ["6 videos: 2 encodes, 6 denoises, 6 decodes, 6 exports"]


def test_the_other_videos_of_the_run_count_too(root: Path):
    build, _, _ = fake_build(root, {})
    assert say(build) == ["7 videos: 3 encodes, 7 denoises, 7 decodes, 7 exports"]


def test_only_what_is_to_be_made_counts(root: Path):
    build, store, _ = fake_build(root, {})
    for number in range(1, 6):
        make(build, store, f"harbour-{number}")
    assert say(build, *build.graph.sweeps["harbour"]) == ["1 video: 1 denoise, 1 decode, 1 export"]


def test_of_a_shared_node_only_the_videos_of_the_run_count(root: Path):
    build, _, _ = fake_build(root, {})
    assert say(build, "harbour-1") == ["1 video: 1 encode, 1 denoise, 1 decode, 1 export"]


def test_nothing_is_said_when_nothing_is_to_be_made(root: Path):
    build, store, _ = fake_build(root, {})
    for video in build.graph.videos:
        make(build, store, video)
    assert say(build) == []


def test_nothing_is_said_of_a_run_without_videos_of_a_sweep(root: Path):
    build, _, _ = fake_build(root, {})
    assert say(build, "demo") == []


def test_of_a_stage_alone_all_videos_of_its_nodes_count(root: Path):
    build, _, _ = fake_build(root, {})
    nodes = [*build.graph.nodes("encode").values()]
    assert describe_size(build.graph, Due(nodes, []), [node.title for node in nodes]) == "7 videos: 3 encodes"


def test_drafts_are_called_so_and_thousands_have_a_comma(tmp_path: Path):
    write_sweep(copy_params(tmp_path), 'denoise.seed = "1..1200"\n')
    build, _, _ = fake_build(tmp_path, {})
    due = Due([*build.graph.nodes("denoise").values()][-1200:], [])
    assert (
        describe_size(build.graph, due, build.graph.sweeps["harbour"], is_draft=True) == "1,200 drafts: 1,200 denoises"
    )
