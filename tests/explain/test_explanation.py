"""The plan of a run that has not begun. Its texts and reasons are in tests/commands/test_explain.py."""

import shutil
from pathlib import Path

import pytest

from stages.errors import CheckpointError, ParamsError
from stages.explain.explanation import explain
from stages.explain.plan import Explanation, Step
from stages.run.loading import load_build
from tests.commands.explained_project import build_made, edit_run, edit_video
from tests.project import copy_checkpoint, set_defaults


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    build_made(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


def plan(root: Path, *names: str, **overrides: str) -> Explanation:
    return explain(load_build(root, {name.replace("_", ".", 1): text for name, text in overrides.items()}), names)


def running(found: Explanation) -> dict[str, Step]:
    return {step.node.stage: step for step in found.of_outcome("run")}


def add_video(root: Path, name: str, old: str, new: str) -> None:
    text = (root / "params/videos/demo.toml").read_text()
    assert old in text
    (root / f"params/videos/{name}.toml").write_text(text.replace(old, new))


def test_a_node_of_two_videos_is_one_step(root: Path):
    add_video(root, "slow", "fps = 8", "fps = 4")
    found = plan(root, export_crf="20")
    assert [(step.node.stage, step.videos) for step in found.steps] == [
        ("encode", ("demo", "slow")),
        ("denoise", ("demo", "slow")),
        ("decode", ("demo", "slow")),
        ("export", ("demo",)),
        ("export", ("slow",)),
    ]


def test_the_second_video_of_a_run_costs_less_than_the_first(root: Path):
    node = load_build(root, {}).graph.videos["demo"]["denoise"]
    edit_run(root, node, wall_s={"load": 300.0, "denoise": 700.0})
    add_video(root, "other", "[denoise]", "[denoise]\nseed = 9")
    found = plan(root, denoise_flow_shift="5.0")
    seconds = [step.expectation.seconds for step in found.steps if step.node.stage == "denoise"]
    assert seconds == [1000.0, 700.0]


def test_only_videos_that_are_asked_for_have_a_heading(root: Path):
    add_video(root, "alpha", "[denoise]", "[denoise]\nseed = 9")
    assert [*plan(root, "demo").prompts] == ["demo"]
    assert [*plan(root, "denoise").prompts] == ["alpha", "demo"]


def test_only_what_is_named_and_what_it_is_made_from_is_part_of_it(root: Path):
    add_video(root, "other", "[denoise]", "[denoise]\nseed = 9")
    assert [step.videos for step in plan(root, "demo").steps] == [("demo", "other"), *[("demo",)] * 3]
    stages = [step.node.stage for step in plan(root, "denoise").steps]
    assert stages == ["encode", "denoise", "denoise"]


def test_what_the_disk_will_hold_is_what_the_stage_says_or_what_an_equal_run_has_made(root: Path):
    found = running(plan(root, decode_dtype="bfloat16"))
    assert found["decode"].size_bytes == 9 * 96 * 96 * 3 * 2
    assert found["export"].size_bytes == 480


def test_a_video_whose_checkpoint_cannot_be_used_is_a_fault_and_others_are_planned(root: Path):
    copy_checkpoint(root / "model")
    (root / "model/transformer/config.json").write_text("{}")
    add_video(root, "broken", "[encode]", '[model]\ncheckpoint = "model"\n[encode]')
    found = plan(root, denoise_seed="9")
    assert [*found.faults] == ["broken"]
    assert isinstance(found.faults["broken"], CheckpointError)
    assert {video for step in found.steps for video in step.videos} == {"demo"}


def test_a_pattern_that_matches_nothing_is_an_error(root: Path):
    with pytest.raises(ParamsError, match=r"^no\*: matches no task\."):
        plan(root, "no*")


def test_a_collected_artifact_that_is_named_is_made_again(root: Path):
    build = load_build(root, {})
    node = build.graph.videos["demo"]["decode"]
    folder = build.store.folder(node.artifact)
    (folder / "run.json").rename(folder / "run.collected.json")
    (folder / "frames.safetensors").unlink()
    assert running(plan(root)) == {}
    assert [*running(plan(root, "decode"))] == ["decode"]


def test_without_an_earlier_run_of_this_machine_no_time_is_said(root: Path):
    for node in load_build(root, {}).graph.videos["demo"].values():
        edit_run(root, node, host="another")
    edit_video(root, "guidance_scale = 3.0", "guidance_scale = 4.0")
    assert {step.expectation.source for step in running(plan(root)).values()} == {"unknown"}


def test_nothing_of_the_store_is_needed(root: Path):
    shutil.rmtree(root / "artifacts")
    set_defaults(root, "machine", artifacts="nowhere")
    assert [*running(plan(root))] == ["encode", "denoise", "decode", "export"]
