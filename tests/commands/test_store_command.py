"""What the commands on the whole store share."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stages.store.pins import Pins
from tests.commands.store_commands import build_project, make, run_command, states
from tests.full_stream import UNPRINTED, FullStream, UnreadStream
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


def test_another_store_can_be_named(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    (root / "artifacts").rename(root / "elsewhere")
    for name, number in (("elsewhere", "1"), ("nowhere", "0")):
        assert run_command("du", f"machine.artifacts={name}") == 0
        assert re.search(rf"^encode .* {number}$", capsys.readouterr().out, re.MULTILINE)
    assert {path.name for path in root.iterdir()} == {"params", "elsewhere"}  # a command that reads creates nothing


@pytest.mark.parametrize("command", ["gc", "du", "pins"])
@pytest.mark.usefixtures("root")
def test_what_stdout_cannot_take_is_no_fault_of_the_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", FullStream())
        assert run_command(command) == 1
    assert capsys.readouterr().err == f"{UNPRINTED}\n"


@pytest.mark.parametrize("stream", [FullStream, UnreadStream])
@pytest.mark.parametrize(
    ("command", "done"),
    [
        (["pin", "demo", "encode"], "pinned: demo, {encode}"),
        (["unpin", "demo", "encode"], "unpinned: demo, {encode}"),
        (["gc", "--keep", "0"], "deleted: 4 artifacts (102 kB)"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_what_was_done_is_said_where_the_rest_cannot_be_printed(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stream: type[io.StringIO],
    *,
    command: list[str],
    done: str,
):
    encode = make(root)["encode"].title
    other = make(root, encode_prompt="other")
    command = [encode if word == "encode" else word for word in command]
    if command[0] == "unpin":
        assert run_command("pin", *command[1:]) == 0
        capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream())
        assert run_command(*command) == 1
    fault = UNPRINTED if stream is FullStream else "what is printed cannot be written (nobody reads it)."
    assert capsys.readouterr().err == f"{fault} Done all the same: {done.format(encode=encode)}.\n"
    assert len(Pins(root / "artifacts").read()) == 2 * (command[0] == "pin")
    assert {*states(root, other)} == ({"absent"} if command[0] == "gc" else {"fresh"})


@pytest.mark.parametrize("command", ["gc", "du", "pins"])
@pytest.mark.usefixtures("root")
def test_a_reader_who_has_left_is_told_nothing_where_nothing_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", UnreadStream())
        assert run_command(command) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_strange_store_is_said_by_each_to_be_what_it_is(root: Path, capsys: pytest.CaptureFixture[str], command: str):
    (root / "artifacts").symlink_to("nowhere")
    assert run_command(command, *(["demo"] if command in {"pin", "unpin"} else [])) == 1
    assert capsys.readouterr() == (
        "",
        f"StoreError: {root}/artifacts: is a link to nothing: nowhere is not there. Make that folder, mount its disk, "
        "or delete the link.\n",
    )


@pytest.mark.parametrize("command", ["gc", "du", "pin", "pins"])
def test_a_stray_link_in_the_store_stops_nothing(root: Path, command: str):
    make(root)
    (root / "artifacts/artifacts").symlink_to("artifacts")
    assert run_command(command, *(["demo"] if command == "pin" else [])) == 0


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
