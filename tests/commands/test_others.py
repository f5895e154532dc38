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


def test_help_names_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [TASK], "help") == 0
    assert " preflight  " in capsys.readouterr().out


@pytest.mark.parametrize("names", [[], ["run"]])
@pytest.mark.parametrize("example", ["doit demo", "doit encode", "doit denoise.seed=7 video=demo", "stage.name=value"])
def test_help_says_how_one_task_is_asked_for_and_how_a_parameter_is_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], example: str
):
    assert run_doit(tmp_path, [TASK], "help", *names) == 0
    assert example in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["encoed"], "encoed: no such task or command. Did you mean `encode`? See `doit list` and `doit help`.\n"),
        (["encode", "run"], "doit help: takes one name, and not 2. `doit help` names all commands.\n"),
    ],
)
def test_help_on_what_is_neither_task_nor_command_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], message: str
):
    assert run_doit(tmp_path, [TASK], "help", *names) == 1
    assert capsys.readouterr() == ("", message)


def test_an_ignored_task_is_not_run_until_it_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ran: list[int] = []
    task = task_that_appends_to(ran)
    assert run_doit(tmp_path, [task], "ignore", "encode") == 0
    assert run_doit(tmp_path, [task], "run") == 0
    assert capsys.readouterr().out == (
        "ignored from now on: encode. `doit forget encode` ends that.\n"
        "encode: ignored, with all that is made from it. `doit forget encode` ends that.\n"
    )
    assert not ran
    assert run_doit(tmp_path, [task], "forget", "encode") == 0
    assert run_doit(tmp_path, [task], "run") == 0
    assert ran == [1]


def test_to_ignore_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [TASK], "ignore") == 1
    assert capsys.readouterr().err == ("doit ignore: name the tasks to skip. `doit list --all` names all there are.\n")


def test_of_a_group_each_task_is_ignored_and_not_the_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    group = [{"basename": "encode", "name": None}, {"basename": "encode", "name": "1", "actions": []}]
    assert run_doit(tmp_path, group, "ignore", "encode") == 0
    assert capsys.readouterr().out == "ignored from now on: encode:1. `doit forget encode:1` ends that.\n"
    assert run_doit(tmp_path, group, "forget", "encode") == 0
    assert run_doit(tmp_path, group, "run") == 0
    assert capsys.readouterr().out == "no longer ignored: encode:1\n"


@pytest.mark.parametrize(("command", "said"), [("ignore", "ignored from now on"), ("forget", "no longer ignored")])
def test_what_cannot_be_remembered_is_not_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, said: str
):
    if command == "forget":
        run_doit(tmp_path, [TASK], "ignore", "encode")
        capsys.readouterr()
    (tmp_path / ".lock").unlink(missing_ok=True)
    (tmp_path / ".lock").mkdir()  # so that nothing can be written
    assert run_doit(tmp_path, [TASK], command, "encode") == 1
    output, error = capsys.readouterr()
    assert said not in output
    assert error.startswith("StoreError: ")


def test_reset_dep_says_why_it_is_of_no_use_and_what_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [TASK], "reset-dep", "encode") == 1
    assert capsys.readouterr() == (
        "",
        "doit reset-dep: renews doit's records of files, and here are none: the store says what is up to date. `doit "
        "info TASK` says why a task is not; `doit forget TASK` has it made again.\n",
    )


def test_strace_says_why_it_is_of_no_use_and_what_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    ran: list[int] = []
    assert run_doit(tmp_path, [task_that_appends_to(ran)], "strace", "encode") == 1
    assert capsys.readouterr() == (
        "",
        "doit strace: traces tasks that are shell commands, and here none is. To see which files a stage opens: "
        "`strace -f -e trace=file python -m stages.decode --video NAME`.\n",
    )
    assert not ran


def test_dumpdb_prints_what_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_doit(tmp_path, [TASK, {"basename": "demo", "actions": []}], "ignore", "encode", "demo")
    capsys.readouterr()
    assert run_doit(tmp_path, [TASK], "dumpdb") == 0
    assert capsys.readouterr().out == "ignored: demo\nignored: encode\n"


def test_dumpdb_says_so_when_nothing_is_remembered(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_doit(tmp_path, [TASK], "run")
    capsys.readouterr()
    assert run_doit(tmp_path, [TASK], "dumpdb") == 0
    assert capsys.readouterr().out == (
        "nothing is ignored, and nothing else is remembered: the store says what is made.\n"
    )


@pytest.mark.parametrize("command", [["help", "encode"], ["tabcompletion", "--hardcode-tasks"], ["dumpdb"], ["list"]])
def test_what_only_reads_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]):
    assert run_doit(tmp_path, [TASK], *command) == 0
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []
