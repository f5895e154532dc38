"""What the commands on the whole store share."""

import subprocess
from pathlib import Path

import pytest

from tests.commands.store_commands import build_project, run_command
from tests.project import DOIT, copy_project, environment

COMMANDS = ("gc", "du", "pin", "unpin", "pins", "verify")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("root")
def test_each_has_help_that_says_what_it_does(capsys: pytest.CaptureFixture[str], command: str):
    assert run_command(command, "--help") == 0
    said = capsys.readouterr().out
    assert said.startswith("PURPOSE")
    assert "DESCRIPTION" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_in_another_folder_there_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    monkeypatch.chdir(tmp_path)
    names = ["demo"] if "pin" in command and command != "pins" else []
    assert run_command(command, *names) == 1
    assert capsys.readouterr().err == (
        f"ParamsError: {tmp_path}: holds no params/. Run this in the folder of dodo.py.\n"
    )


def test_an_error_of_the_system_is_one_message(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "artifacts").write_text("in its place")
    assert run_command("pin", "demo") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_another_store_can_be_named(root: Path):
    assert run_command("du", "machine.artifacts=elsewhere") == 0
    assert (root / "elsewhere").exists()
    assert not (root / "artifacts").exists()


@pytest.mark.usefixtures("root")
def test_a_wrong_option_is_one_message(capsys: pytest.CaptureFixture[str]):
    assert run_command("du", "--jsn") == 1
    assert capsys.readouterr().err == (
        "doit du: option --jsn not recognized. Did you mean `--json`? `doit help du` says what there is.\n"
    )


@pytest.mark.parametrize("is_buffered", [True, False])
def test_a_stdout_that_takes_nothing_is_one_message(tmp_path: Path, *, is_buffered: bool):
    settings = environment() | ({} if is_buffered else {"PYTHONUNBUFFERED": "1"})
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*DOIT, "verify"],
            cwd=copy_project(tmp_path),
            env=settings,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "what is printed cannot be written (No space left on device). Send it to a file with room, or to /dev/null.\n"
    )
