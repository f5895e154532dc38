"""What commands say when they cannot go on, and that none keeps a database."""

from pathlib import Path

import pytest

from tests.commands.doit_here import run_doit

COMMANDS = ["run", "list", "info", "forget", "clean", "help", "ignore"]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_gives_one_message_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [interrupt]}]
    assert run_doit(tmp_path, tasks, "run", at_end=lambda: "Half of it was kept.") == 1
    assert capsys.readouterr().err == "interrupted. Half of it was kept. `doit` goes on from here.\n"


@pytest.mark.parametrize(
    ("command", "left"), [("list", "Nothing was changed."), ("clean", "What was done before stays done.")]
)
def test_ctrl_c_of_another_command_says_what_is_left_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, left: str
):
    task = {"basename": "encode", "actions": [], "uptodate": [interrupt], "clean": [interrupt]}
    assert run_doit(tmp_path, [task], command, *(["-s"] if command == "list" else [])) == 1
    assert capsys.readouterr().err == f"interrupted. {left}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_name_gives_one_message_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], command, "encoed") == 1
    assert capsys.readouterr().err == (
        "encoed: no such task or command. Did you mean `encode`? See `doit list` and `doit help`.\n"
    )


@pytest.mark.parametrize("command", ["run", "list", "forget", "ignore"])
@pytest.mark.parametrize(
    ("kind", "reason"), [("folder", "Is a directory"), ("garbage", "it is no list of names of tasks")]
)
def test_what_is_ignored_and_cannot_be_read_gives_one_message_and_exit_code_1_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str, reason: str
):
    ran: list[int] = []
    if kind == "folder":
        (tmp_path / ".ignored.json").mkdir()
    else:
        (tmp_path / ".ignored.json").write_text("{}")
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [(lambda: ran.append(1),)]}], command, "encode") == 1
    assert ran == []
    assert capsys.readouterr().err == (
        f"StoreError: {tmp_path}/.ignored.json: cannot be read ({reason}). It names the tasks that `doit ignore` "
        "leaves out: correct it, or delete it and ignore them again.\n"
    )


@pytest.mark.parametrize("option", ["--db-file=x", "--backend=json", "--check_file_uptodate=md5"])
@pytest.mark.parametrize("command", ["run", "list", "forget", "dumpdb"])
def test_an_option_of_doits_database_says_that_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, option: str
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], command, option) == 1
    assert capsys.readouterr() == (
        "",
        f"doit {command}: option {option.partition('=')[0]} not recognized. There is no database: the store says what "
        f"is up to date. `doit help {command}` says what there is.\n",
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_leaves_a_file_behind(tmp_path: Path, command: str):
    for name in ("encode", "encoed"):
        run_doit(tmp_path, [{"basename": "encode", "actions": []}], command, name)
    assert {path.name for path in tmp_path.iterdir()} == ({".ignored.json", ".lock"} if command == "ignore" else set())


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("info", "`info` failed, must select *one* task."),
    ],
)
def test_a_fault_that_is_no_unknown_name_is_said_as_doit_says_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, fault: str
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], command) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == fault
    assert second.startswith("Check `")  # doit's name for itself follows: that of the program which was started
    assert second.endswith(f" help {command}`.")


@pytest.mark.parametrize("command", [["run"], ["clean"]])
def test_a_pattern_that_matches_nothing_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], *command, "x*") == 1
    assert capsys.readouterr() == ("", "x*: matches no task. `doit list --all` names all there are.\n")
