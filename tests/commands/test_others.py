"""doit's commands that this project leaves nearly as they are; what stops them is in test_one_message.py."""

from pathlib import Path
from typing import Any

import pytest

from tests.commands.doit_here import run_doit

TASK = {"basename": "encode", "actions": [], "doc": "prompt -> embeddings"}


def task_that_appends_to(ran: list[int]) -> dict[str, Any]:
    return {"basename": "encode", "actions": [(lambda: ran.append(1),)]}


def test_help_says_what_a_task_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [TASK], "help", "encode") == 0
    assert capsys.readouterr().out == "encode  prompt -> embeddings\n"


@pytest.mark.parametrize("arguments", [(), ("encoed",)])
def test_help_names_the_commands_when_there_is_no_such_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
):
    assert run_doit(tmp_path, [TASK], "help", *arguments) == 0
    assert " preflight  " in capsys.readouterr().out


def test_an_ignored_task_is_not_run_until_it_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ran: list[int] = []
    task = task_that_appends_to(ran)
    assert run_doit(tmp_path, [task], "ignore", "encode") == 0
    assert run_doit(tmp_path, [task], "run") == 0
    assert capsys.readouterr().out.startswith("ignoring encode\n")
    assert not ran
    assert run_doit(tmp_path, [task], "forget", "encode") == 0
    assert run_doit(tmp_path, [task], "run") == 0
    assert ran == [1]


def test_to_ignore_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [TASK], "ignore") == 1
    assert capsys.readouterr().err == ("doit ignore: name the tasks to skip. `doit list --all` names all there are.\n")


def test_reset_dep_takes_a_file_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ran: list[int] = []
    (tmp_path / "file").write_text("one")
    task = {**task_that_appends_to(ran), "file_dep": [tmp_path / "file"]}
    assert run_doit(tmp_path, [task], "reset-dep") == 0
    assert capsys.readouterr().out == "processed encode\n"
    assert run_doit(tmp_path, [task], "run") == 0
    assert not ran


def test_strace_runs_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # it writes a file
    ran: list[int] = []
    run_doit(tmp_path, [task_that_appends_to(ran)], "strace", "encode")
    assert ran == [1]


def test_dumpdb_prints_what_doit_remembers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_doit(tmp_path, [TASK], "run")
    capsys.readouterr()
    assert run_doit(tmp_path, [TASK], "dumpdb") == 0
    assert capsys.readouterr().out == "encode -> {'_values_:': {}, 'checker:': 'Xxh3Checker', 'deps:': []}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_script_for_completion_names_commands_and_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str
):
    assert run_doit(tmp_path, [TASK], "tabcompletion", "--hardcode-tasks", "--shell", shell) == 0
    script = capsys.readouterr().out
    assert "preflight" in script
    assert "encode" in script


@pytest.mark.parametrize("command", [["help", "encode"], ["tabcompletion", "--hardcode-tasks"], ["dumpdb"], ["list"]])
def test_what_only_reads_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]):
    assert run_doit(tmp_path, [TASK], *command) == 0
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []
