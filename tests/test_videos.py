"""Videos are independent: what is wrong with one is said of it, and stops no other. doit itself, in its own folder."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.run.loading import load_build
from tests.builders import publish
from tests.known_files import know_package
from tests.project import copy_built, copy_project, environment, run_doit

pytestmark = pytest.mark.processes

NOT_TOML = "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 8)."


def break_toml(root: Path) -> str:
    (root / "params/videos/harbour.toml").write_text("[encode\n")
    return f"ParamsError: params/videos/harbour.toml: {NOT_TOML}\n"


def break_value(root: Path) -> str:
    (root / "params/videos/harbour.toml").write_text('[encode]\nprompt = "x"\n[denoise]\nseed = true\n')
    return "ParamsError: params/videos/harbour.toml, denoise.seed = true: must be a whole number.\n"


def break_checkpoint(root: Path) -> str:
    (root / "params/videos/harbour.toml").write_text('[model]\ncheckpoint = "gone"\n[encode]\nprompt = "x"\n')
    return (
        "CheckpointError: harbour: model.checkpoint = 'gone': no such folder, and not a hub id (owner/name). Correct "
        "the path in params/model.toml or the video's file.\n"
    )


def break_file(root: Path) -> str:
    (root / "params/videos/harbour.toml").write_text('[denoise]\nfrom_file = "gone.safetensors"\n')
    return (
        f'ParamsError: params/videos/harbour.toml, denoise.from_file = "gone.safetensors": there is no file {root}/'
        "gone.safetensors. Correct it; a relative path starts at the project's folder.\n"
    )


BREAKS = [break_toml, break_value, break_checkpoint, break_file]
Break = Callable[[Path], str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose `demo` has been made. Tests copy it."""
    root = copy_project(tmp_path_factory.mktemp("made"))
    build = load_build(root, {})
    for node in build.graph.videos["demo"].values():
        publish(build.store, node, code=build.code[build.program_of(node).package])
    assert run_doit(root).returncode == 0
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return copy_built(made, tmp_path / "project")


@pytest.mark.parametrize("break_it", BREAKS)
def test_the_others_are_built_and_the_message_comes_last_with_exit_code_1(root: Path, break_it: Break):
    message = break_it(root)
    result = run_doit(root)
    assert (result.returncode, result.stderr) == (1, "")
    assert result.stdout == f"demo: artifacts/videos/demo.mp4 (up to date)\n{message}"


@pytest.mark.parametrize("break_it", BREAKS)
def test_a_video_that_is_asked_for_fails_with_its_message(root: Path, break_it: Break):
    message = break_it(root)
    result = run_doit(root, "harbour")
    assert (result.returncode, result.stdout, result.stderr) == (1, message, "")


@pytest.mark.parametrize("break_it", BREAKS)
def test_another_video_is_built_with_a_note(root: Path, break_it: Break):
    break_it(root)
    result = run_doit(root, "demo")
    assert (result.returncode, result.stdout) == (0, "demo: artifacts/videos/demo.mp4 (up to date)\n")
    assert result.stderr == "note: not asked for, and cannot be made: harbour. `doit list` says why.\n"


@pytest.mark.parametrize("break_it", BREAKS)
def test_it_is_listed_with_the_reason(root: Path, break_it: Break):
    message = break_it(root)
    result = run_doit(root, "list")
    assert (result.returncode, result.stderr) == (0, "")
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in result.stdout.splitlines()}
    assert lines["demo"] == 'up to date: "A red circle moves to the right."'
    assert lines["harbour"].startswith("cannot be made: ")
    assert lines["harbour"].removeprefix("cannot be made: ")[:60] in message


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["info", "demo"], 0, "up-to-date"),
        (["forget", "--follow-sub", "demo"], 0, "forgotten: encode:"),
        (["clean", "demo"], 0, "removed: artifacts/videos/demo.mp4\n"),
        (["clean", "export"], 0, "removed: export:"),
        (["ignore", "demo"], 0, "ignored from now on: demo."),
        (["info", "harbour"], 1, NOT_TOML),
        (["forget", "harbour"], 1, NOT_TOML),
        (["clean", "harbour"], 1, NOT_TOML),
        (["clean"], 1, "removed: export:"),
        (["forget"], 1, "forgotten: export:"),
    ],
)
def test_commands_do_what_they_can_beside_it(root: Path, command: list[str], code: int, said: str):
    break_toml(root)
    result = run_doit(root, *command)
    assert (result.returncode, result.stderr) == (code, "")
    assert said in result.stdout


def test_the_faults_of_several_videos_are_all_said_each_with_its_file(root: Path):
    message = break_toml(root)
    (root / "params/videos/city.toml").write_text("[denoise]\nheight = 101\nsteps = 3\n")
    result = run_doit(root, "harbour", "city")
    assert result.returncode == 1
    assert result.stdout == (
        "ParamsError: params/videos/city.toml, encode.prompt: is missing. Add `prompt` to its table [encode], or to "
        "params/encode.toml for all videos.\n"
        "  params/videos/city.toml, denoise.height = 101: must be a multiple of 16, the VAE's spatial compression. Use "
        "96 or 112.\n"
        "  params/videos/city.toml, denoise.steps: no such parameter. Did you mean `num_inference_steps`?\n"
        f"{message}"
    )


@pytest.mark.parametrize("name", ["Upper", "list", "a=b", "a b"])
def test_a_file_whose_name_is_no_videos_stops_no_other(root: Path, name: str):
    (root / f"params/videos/{name}.toml").write_text('[encode]\nprompt = "x"\n')
    assert run_doit(root, "demo").returncode == 0
    result = run_doit(root)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith(f"ParamsError: params/videos/{name}.toml: ")


@pytest.mark.parametrize("command", [[], ["list"], ["clean"], ["demo"]])
@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("params/export.toml", "fps = 0\n", "params/export.toml, export.fps = 0: "),
        ("params/machine.toml", 'mesh = "x"\n', 'params/machine.toml, machine.mesh = "x": '),
        ("params/denoise.toml", "[denoise]\n", "params/denoise.toml, [denoise]: this file is itself the table"),
    ],
)
def test_what_is_wrong_for_all_videos_stops_all(root: Path, command: list[str], file: str, text: str, message: str):
    (root / file).write_text(text)
    result = run_doit(root, *command)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"ParamsError: {message}")


@pytest.mark.parametrize("command", [[], ["list"], ["clean"]])
def test_a_typed_checkpoint_that_is_gone_stops_all(root: Path, command: list[str]):
    result = run_doit(root, *command, "model.checkpoint=gone")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("CheckpointError: model.checkpoint = 'gone': ")


def test_debug_shows_where_a_video_was_refused(root: Path):
    break_checkpoint(root)
    result = run_doit(root, "--debug", "harbour")
    assert result.returncode == 1
    assert "in resolve\n" in result.stderr


def test_in_json_each_video_has_its_result(root: Path):
    message = break_file(root)
    result = run_doit(root, "--reporter", "json")
    assert result.returncode == 1
    tasks = {task["name"]: task for task in json.loads(result.stdout)["tasks"]}
    assert (tasks["demo"]["result"], tasks["harbour"]["result"]) == ("up-to-date", "fail")
    assert tasks["harbour"]["error"].strip() == message.strip()


@pytest.mark.parametrize("break_it", [break_toml, break_checkpoint])
def test_by_hand_another_video_is_made_and_this_one_says_why_not(root: Path, break_it: Break):
    message = break_it(root)

    def make(video: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stages.from_file", "--video", video]
        return subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)

    harbour, demo = make("harbour"), make("demo")
    assert (harbour.returncode, harbour.stdout, harbour.stderr) == (1, "", message)
    assert "no part of it is made by stages.from_file" in demo.stderr


def from_files(root: Path, **files: bool) -> None:
    """Videos whose latents are files, right or wrong ones; others are gone."""
    (root / "params/videos/demo.toml").unlink()
    for number, (name, is_right) in enumerate(files.items(), 1):
        latents = np.zeros((1, 32, number, 2, 2), np.float32)
        save_file({"latents" if is_right else "latent": latents}, root / f"{name}.safetensors")
        (root / f"params/videos/{name}.toml").write_text(f'[denoise]\nfrom_file = "{name}.safetensors"\n')


def digest_of(root: Path, video: str) -> str:
    return load_build(root, {}).graph.videos[video]["denoise"].title.removeprefix("denoise:")


def test_with_continue_what_can_be_made_is_and_the_summary_says_what_failed(tmp_path: Path):
    root = know_package(copy_project(tmp_path))
    from_files(root, a=False, b=True, c=False)
    (root / "params/videos/harbour.toml").write_text("[encode\n")
    result = run_doit(root, "--continue", "denoise")
    assert result.returncode == 1
    assert len(list(root.glob("artifacts/denoise/*/latents.safetensors"))) == 1
    *summary, ending = result.stdout.splitlines()[-5:]
    assert summary[0] == "failed:"
    assert [line.split(": ")[:2] for line in summary[1:]] == [
        ["  a", f"denoise:{digest_of(root, 'a')}"],
        ["  c", f"denoise:{digest_of(root, 'c')}"],
        ["  harbour", "ParamsError"],
    ]
    assert ending == "When that is fixed, `doit a c harbour` makes what is left."


def test_without_continue_the_videos_that_were_left_are_named(tmp_path: Path):
    root = know_package(copy_project(tmp_path))
    from_files(root, a=False, b=True)
    result = run_doit(root)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == ("not looked at any more: b. `doit --continue` goes on after a failure.")
    assert not list(root.glob("artifacts/denoise/*"))
