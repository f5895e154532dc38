"""What commands say when they cannot go on."""

from pathlib import Path

import pytest

from tests.commands.doit_here import run_doit

COMMANDS = ["run", "list", "info", "forget", "clean"]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_gives_one_message_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [interrupt]}], "run") == 1
    assert capsys.readouterr().err == "interrupted. Nothing half-made was kept; `doit` goes on from here.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_name_gives_one_message_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], command, "encoed") == 1
    assert capsys.readouterr().err == (
        "encoed: no such task or command. Did you mean `encode`? See `doit list` and `doit help`.\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("kind", "reason"), [("folder", "unable to open database file"), ("garbage", "file is not a database")]
)
def test_a_database_that_cannot_be_used_gives_one_message_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str, reason: str
):
    if kind == "folder":
        (tmp_path / ".doit.db").mkdir()
    else:
        (tmp_path / ".doit.db").write_bytes(b"garbage" * 1000)
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], command, "encode") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{tmp_path}/.doit.db: {reason}. Make room or mend its permissions, or delete it: what has been made is whole "
        "and will be found again."
    )
