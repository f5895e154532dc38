"""Videos that are asked for and not made yet."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.keys import ArtifactId
from stages.report.unmade import find_preview, find_unmade
from stages.run.build import Build
from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.partial import PartialState, PartialStates
from tests.builders import collect, publish, record
from tests.report.reports import build_project, load, put_preview


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return load(build_project(tmp_path))


def publish_until(build: Build, name: str, last: str) -> None:
    """Have a video's nodes in the store, up to those of a stage."""
    store = Store(build.store.root)
    for node in build.graph.videos[name].values():
        publish(store, node, b"payload", build.code[build.program_of(node).package])
        if node.stage == last:
            return


def states(build: Build, made: Mapping[str, ArtifactId]) -> dict[str, tuple[str, bool]]:
    found = find_unmade(build, take_inventory(build.store.root), made)
    return {video.name: (video.state, video.is_running) for video in found}


def test_the_first_stage_that_has_nothing_yet_is_next(build: Build):
    publish_until(build, "demo", "denoise")
    found = states(build, {})
    assert found["demo"] == ("decode is next", False)
    assert found["script"] == ("not made yet", False)


def test_what_somebody_makes_just_now_runs(build: Build):
    publish_until(build, "harbour-1", "encode")
    node = build.graph.videos["harbour-1"]["denoise"]
    with build.leases.hold(node, (), wait=lambda _holder, _waited_s: None):
        assert states(build, {})["harbour-1"] == ("denoise runs now", True)
    assert states(build, {})["harbour-1"] == ("denoise is next", False)


def test_what_a_run_has_kept_of_a_stage_was_interrupted(build: Build):
    publish_until(build, "demo", "encode")
    PartialStates(build.store.root).write(
        build.graph.videos["demo"]["denoise"].artifact, PartialState({}, {"num_done": 7}, b"latents")
    )
    assert states(build, {})["demo"] == ("denoise was interrupted", False)


def test_a_video_is_made_only_if_its_name_leads_to_what_is_asked_for(build: Build):
    publish_until(build, "demo", "export")
    artifact = build.graph.videos["demo"]["export"].artifact
    assert "demo" not in states(build, {"demo": artifact})
    assert states(build, {})["demo"] == ("made, not linked", False)


def test_what_gc_has_deleted_says_so(build: Build):
    publish_until(build, "demo", "export")
    collect(Store(build.store.root), build.graph.videos["demo"]["export"])
    assert states(build, {})["demo"] == ("deleted by gc", False)


def test_what_was_never_here_is_said_to_be_where_it_is(build: Build):
    publish_until(build, "demo", "export")
    record(Store(build.store.root), build.graph.videos["demo"]["export"])
    assert states(build, {})["demo"] == ("on the remote store", False)


def test_the_next_stage_is_the_one_after_what_is_there_whatever_that_was_made_from(build: Build):
    publish_until(build, "demo", "denoise")
    record(Store(build.store.root), build.graph.videos["demo"]["encode"])
    assert states(build, {})["demo"] == ("decode is next", False)


def test_a_video_that_cannot_be_made_is_among_them(tmp_path: Path):
    build_project(tmp_path)
    (tmp_path / "params/videos/wrong.toml").write_text("[denoise]\nnum_frames = 50\n")
    (wrong,) = (
        video
        for video in find_unmade(load(tmp_path), take_inventory(tmp_path / "artifacts"), {})
        if not video.parameters
    )
    assert (wrong.name, wrong.state, wrong.prompt) == ("wrong", "cannot be made", "")


def test_it_has_what_it_is_asked_for_by_and_its_place_in_a_sweep(build: Build):
    video = next(
        video for video in find_unmade(build, take_inventory(build.store.root), {}) if video.name == "harbour-3"
    )
    assert (video.prompt, video.sweep) == ("Boats in a harbour.", "harbour")
    assert video.differences == {"denoise.seed": 2, "denoise.guidance_scale": 3.0}
    assert video.parameters["denoise.num_frames"] == 9
    assert "model.vae" in video.parameters


def test_a_preview_is_that_of_any_artifact_of_the_chain(build: Build):
    chain = [node.artifact for node in build.graph.videos["demo"].values()]
    assert find_preview(build.store.root, chain) is None
    file = put_preview(build, "demo")
    assert find_preview(build.store.root, chain) == file
