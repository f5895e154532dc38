"""What a node cannot take less than, by an answer of `doit preflight`."""

import os
import shutil
from pathlib import Path

import pytest

from stages.explain import lower_bound as module
from stages.explain.lower_bound import LowerBounds
from stages.keys import Node
from stages.pipeline.stages import Pipeline
from stages.preflight.answers import read_answer
from stages.preflight.questions import Question, TargetParameters, ask, describe_target
from stages.request.params import load_params
from stages.request.tables import MachineParams
from stages.run.build import Build
from stages.run.fingerprint import Fingerprinter
from stages.run.loading import load_build
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.store.stat_cache import STAT_CACHE, StatCache
from tests.known_files import know_package
from tests.preflight_builders import build_figures, publish_answer
from tests.project import copy_params


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return load_build(know_package(copy_params(tmp_path)), {})


def find(build: Build, stage: str = "denoise") -> float | None:
    return bounds_of(build).find(node_of(build, stage))


def bounds_of(build: Build) -> LowerBounds:
    return LowerBounds(build, Fingerprinter(StatCache(build.store.root / STAT_CACHE)))


def node_of(build: Build, stage: str) -> Node:
    return build.graph.videos["demo"][stage]


def answer(build: Build) -> Question:
    """As if preflight had been asked for this machine, and had found chips of which the peak is known."""
    params = load_params(build.root, {}, Pipeline())
    target = describe_target("", params.machine)
    question, _ = ask(params.videos["demo"], build.root, target, mesh=params.machine.mesh)
    publish_answer(build.root, question, build_figures())
    return question


def test_without_an_answer_there_is_none(build: Build):
    assert find(build) is None


def test_it_is_that_of_the_answer_for_this_machine(build: Build):
    question = answer(build)
    least_s = read_answer(Store(build.store.root), question, ("demo",)).least_s
    assert least_s is not None
    assert find(build) == least_s


def test_of_a_stage_that_was_not_asked_for_there_is_none(build: Build):
    answer(build)
    assert find(build, "encode") is None
    assert find(build, "decode") is None


def test_an_answer_that_was_looked_at_is_not_marked_as_used(build: Build):
    run = build.store.folder(answer(build).node.artifact) / RUN
    os.utime(run, (1, 1))
    find(build)
    assert run.stat().st_mtime == 1


def test_a_damaged_answer_is_none(build: Build):
    payload = build.store.payload(answer(build).node.artifact)
    payload.write_text("{}")
    assert find(build) is None


def test_that_of_a_video_is_none_of_its_draft(build: Build):
    answer(build)
    draft = load_build(build.root, {}, is_draft=True)
    assert find(draft) is None


def test_the_machine_is_looked_at_once_for_all_videos(build: Build, monkeypatch: pytest.MonkeyPatch):
    """Versions of libraries are read from files: of thousands of videos, that took most of the time."""
    looks: list[str] = []

    def look(topology: str, machine: MachineParams) -> TargetParameters:
        looks.append(topology)
        return describe_target(topology, machine)

    monkeypatch.setattr(module, "describe_target", look)
    shutil.copy(build.root / "params/videos/demo.toml", build.root / "params/videos/harbour.toml")
    path = build.root / "params/videos/harbour.toml"
    path.write_text(path.read_text().replace("[denoise]", "[denoise]\nseed = 7"))
    both = load_build(build.root, {})
    bounds = bounds_of(both)
    assert [bounds.find(both.graph.videos[name]["denoise"]) for name in ("demo", "harbour")] == [None, None]
    assert looks == [""]
