"""What a checkpoint cannot be made into is said before a run starts any process, of each video, and stops no other."""

from pathlib import Path

import pytest

from stages.run.loading import load_build
from tests.builders import publish
from tests.chains import edit_settings
from tests.project import copy_checkpoint, copy_project, run_doit

pytestmark = pytest.mark.processes

SCHEDULER = (
    "holds 'UniPCMultistepScheduler', not FlowMatchEulerDiscreteScheduler. Use a checkpoint of HunyuanVideo-1.5."
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose `demo` has been made, with a video beside it whose scheduler is another."""
    root = copy_project(tmp_path)
    build = load_build(root, {})
    for node in build.graph.videos["demo"].values():
        publish(build.store, node, code=build.code[build.program_of(node).package])
    edit_settings(
        copy_checkpoint(root / "model") / "scheduler/scheduler_config.json", _class_name="UniPCMultistepScheduler"
    )
    write_video(root, "harbour")
    return root


def write_video(root: Path, name: str, prompt: str = "A boat.") -> None:
    text = f'[model]\ncheckpoint = "model"\n[encode]\nprompt = "{prompt}"\n'
    (root / f"params/videos/{name}.toml").write_text(text)


def message(root: Path, videos: str = "harbour") -> str:
    return f"CheckpointError: {videos}: {root}/model/scheduler/scheduler_config.json: {SCHEDULER}\n"


def has_started_processes(root: Path) -> bool:
    return (root / "artifacts/logs").is_dir()


def test_the_others_are_made_and_no_process_is_started_for_it(root: Path):
    result = run_doit(root)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == f"demo: artifacts/videos/demo.mp4\n{message(root)}"
    assert not has_started_processes(root)


@pytest.mark.parametrize("arguments", [["harbour"], ["encode"], ["-n", "2", "harbour"], ["--continue", "harbour"]])
def test_it_fails_with_its_message_however_it_is_asked_for(root: Path, arguments: list[str]):
    result = run_doit(root, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (1, message(root), "")
    assert not has_started_processes(root)


def test_a_single_task_of_it_is_refused_too(root: Path):
    build = load_build(root, {})
    result = run_doit(root, "--single", build.graph.videos["harbour"]["encode"].title)
    assert (result.returncode, result.stdout, result.stderr) == (1, message(root), "")
    assert not has_started_processes(root)


def test_a_run_of_other_videos_says_nothing_of_it(root: Path):
    result = run_doit(root, "demo")
    assert (result.returncode, result.stdout, result.stderr) == (0, "demo: artifacts/videos/demo.mp4\n", "")


def test_videos_of_one_checkpoint_share_a_message(root: Path):
    write_video(root, "city", "A city.")
    result = run_doit(root, "city", "harbour")
    assert (result.returncode, result.stdout, result.stderr) == (1, message(root, "city, harbour"), "")


def test_a_video_that_shares_an_encode_with_it_alone_is_not_mentioned(root: Path):
    write_video(root, "city")
    result = run_doit(root, "city")
    assert (result.returncode, result.stdout, result.stderr) == (1, message(root, "city"), "")
