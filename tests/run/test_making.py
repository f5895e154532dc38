"""One node is made: what is begun, what is said, and what is left."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stages.errors import StageError
from stages.run.runner import Event
from tests.known_files import know_package
from tests.project import copy_params
from tests.run.fakes import Forgetting, fake_build, ignore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return know_package(copy_params(tmp_path))


def test_after_every_job_drafts_are_swept_also_when_there_is_no_result(root: Path):
    build, store, runner = fake_build(root, {})
    runner.fails = "no result."
    with pytest.raises(StageError):
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert store.num_sweeps == 1


def test_what_is_asked_for_again_though_it_is_fresh_is_made(root: Path):
    build, store, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    store.fresh.add(node.artifact)
    assert "made_by" not in build.run(node, ignore, was_fresh=True)
    assert len(runner.jobs) == 1


def test_what_cannot_stay_though_it_was_just_made_is_said(root: Path):
    build, store, _ = fake_build(root, {})
    events: list[Event] = []
    build = replace(build, runner=Forgetting(store))
    assert build.run(build.graph.videos["demo"]["encode"], events.append)["event"] == "result"
    assert events[-1] == {
        "event": "warning",
        "message": "was made, and is to be made again by the next `doit`: absent",
    }


def test_the_next_program_is_started_ahead_where_the_settings_allow(root: Path):
    for setting, ahead in (("auto", ["denoise"]), ("never", [None])):
        build, _, runner = fake_build(root, {"machine.start_ahead": setting})
        node = build.graph.videos["demo"]["encode"]
        lookahead = build.lookahead(lambda _: True)
        lookahead.select([node.title for node in build.graph.videos["demo"].values()])
        build.run(node, lambda _: None, ahead=lookahead.after(node))
        assert [program and program.name for program in runner.ahead] == ahead


def test_with_little_memory_nothing_is_started_ahead(root: Path, monkeypatch: pytest.MonkeyPatch):
    build, _, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["encode"]
    for available, ahead in ((1 << 31, ["encode"]), ((1 << 31) - 1, [None])):
        monkeypatch.setattr("stages.run.lookahead.available_memory_bytes", lambda available=available: available)
        runner.ahead.clear()
        build.run(node, lambda _: None, was_fresh=True, ahead=build.program_of(node))
        assert [program and program.name for program in runner.ahead] == ahead


def test_a_stage_that_fails_names_what_stays_and_the_command_that_goes_on_from_there(root: Path):
    build, store, runner = fake_build(root, {"decode.dtype": "bfloat16"})
    nodes = build.graph.videos["demo"]
    store.fresh |= {nodes["encode"].artifact, nodes["denoise"].artifact}
    runner.fails = "memory ran out."
    with pytest.raises(StageError) as failed:
        build.run(nodes["decode"], lambda _: None)
    assert str(failed.value) == (
        f"memory ran out.\n  What it is made from stays: {store.payload(nodes['denoise'].artifact)}. `doit demo "
        "decode.dtype=bfloat16` goes on from there."
    )


@pytest.mark.parametrize("fails", ["", "no room"])
def test_accelerators_are_given_up_when_the_run_needs_them_no_more(root: Path, fails: str):
    build, store, runner = fake_build(root, {})
    runner.fails = fails
    denoise, decode = (build.graph.videos["demo"][stage] for stage in ("denoise", "decode"))
    for node, keeps, expected in ((denoise, True, 0), (decode, False, 1)):
        store.fresh.update(node.input_artifacts)
        with pytest.raises(StageError) if fails else nullcontext():
            build.run(node, ignore, keeps_devices=partial(bool, keeps))
        assert runner.num_given_up == expected


def test_of_inputs_that_are_damaged_it_is_not_said_that_they_stay(root: Path):
    build, store, runner = fake_build(root, {})
    store.others[build.graph.videos["demo"]["denoise"].artifact] = "corrupt"
    runner.fails = "the file was cut or edited."
    with pytest.raises(StageError) as failed:
        build.run(build.graph.videos["demo"]["decode"], lambda _: None)
    assert str(failed.value) == "the file was cut or edited."


def test_an_error_about_a_draft_names_the_artifact(root: Path):
    build, store, runner = fake_build(root, {})
    node = build.graph.videos["demo"]["export"]
    store.others[build.graph.videos["demo"]["decode"].artifact] = "stale"
    runner.fails = f"StoreError: {store.root}/.drafts/0123456789abcdef/new/video.mp4: libx264 cannot encode."
    with pytest.raises(StageError) as failed:
        build.run(node, lambda _: None)
    assert str(failed.value) == f"StoreError: {store.folder(node.artifact)}/video.mp4: libx264 cannot encode."


def test_the_traceback_of_a_stage_is_kept_with_its_error(root: Path):
    build, _, runner = fake_build(root, {})
    runner.fails = "broken"
    with pytest.raises(StageError) as failed:
        build.run(build.graph.videos["demo"]["encode"], lambda _: None)
    assert isinstance(failed.value.__cause__, StageError)  # where the note with the traceback is (worker.py)
