"""What commands say when they cannot go on, and that none leaves doit's records open."""

import sqlite3
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.commands.doit_here import run_doit

COMMANDS = ["run", "list", "info", "forget", "clean", "help", "ignore", "reset-dep"]


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
        f"{tmp_path}/.doit.db: {reason}. Make room or fix its permissions, or delete it: what has been made is whole "
        "and will be found again."
    )


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


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """All that are opened during a test."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*arguments, **options) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remember)
    return opened


def are_closed(connections: list[sqlite3.Connection]) -> bool:
    """Whether there were some and none can be used any more."""
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("select 1")
    return bool(connections)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("end", ["done", "no such task", "no valid task", "no database"])
def test_every_command_closes_its_records_however_it_ends(
    tmp_path: Path,
    connections: list[sqlite3.Connection],
    command: str,
    end: str,
):
    task = {"basename": "encode", "actions": []}
    run_doit(tmp_path, [dict(task)], "run")  # a command that only reads opens records that are there
    connections.clear()
    if end == "no database":
        (tmp_path / ".doit.db").write_bytes(b"garbage" * 1000)
    if end == "no valid task":
        task["no field of a task"] = 1
    run_doit(tmp_path, [task], command, "encoed" if end == "no such task" else "encode")
    assert are_closed(connections)


def test_an_interrupted_run_closes_its_records(tmp_path: Path, connections: list[sqlite3.Connection]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [interrupt]}], "run") == 1
    assert are_closed(connections)


def test_a_run_closes_its_records_when_they_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], connections: list[sqlite3.Connection]
):
    def destroy() -> None:
        other = sqlite3.connect(tmp_path / ".doit.db")
        other.execute("drop table doit")
        other.close()

    assert run_doit(tmp_path, [{"basename": "encode", "actions": [destroy]}], "run") == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/.doit.db: no such table: doit. ")
    assert are_closed(connections)


def test_records_are_closed_before_at_end_which_may_fail(tmp_path: Path, connections: list[sqlite3.Connection]):
    run_doit(tmp_path, [{"basename": "encode", "actions": []}], "run")
    connections.clear()
    with pytest.raises(KeyboardInterrupt):
        run_doit(tmp_path, [{"basename": "encode", "actions": []}], "list", at_end=interrupt)
    assert are_closed(connections)


READS_SQLITE = pytest.mark.skipif(find_spec("dbm.sqlite3") is not None, reason="this Python's dbm reads SQLite")


@pytest.mark.parametrize("backend", ["json", pytest.param("dbm", marks=READS_SQLITE)])
def test_records_of_another_backend_are_refused_with_the_option_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
):
    tasks = [{"basename": "encode", "actions": []}]
    run_doit(tmp_path, tasks, "run")
    assert run_doit(tmp_path, tasks, "run", "--backend", backend) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path}/.doit.db: is damaged, or not of the kind that --backend {backend} reads. Name another file with "
        "--db-file, or leave --backend out.\n"
    )


@pytest.mark.parametrize("backend", ["json", "dbm", "sqlite3"])
def test_each_backend_works_with_a_file_of_its_own(tmp_path: Path, backend: str):
    ran: list[int] = []
    tasks = [{"basename": "encode", "actions": [(lambda: ran.append(1),)], "uptodate": [True]}]
    for _ in range(2):
        assert run_doit(tmp_path, tasks, "run", "--backend", backend, "--db-file", str(tmp_path / backend)) == 0
    assert ran == []


@pytest.mark.parametrize("command", [["run"], ["clean"]])
def test_a_pattern_that_matches_nothing_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], *command, "x*") == 1
    assert capsys.readouterr() == ("", "x*: matches no task. `doit list --all` names all there are.\n")
