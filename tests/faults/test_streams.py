"""Commands whose stdin, stdout or stderr is closed, or whose stdout is full: one message, or the work is done."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import copy_built, copy_project, environment

pytestmark = pytest.mark.processes

CLOSED = "stdout: is closed. Send it to a file with room, or to /dev/null.\n"
FULL = "what is printed cannot be written (No space left on device). Send it to a file with room, or to /dev/null.\n"
READING = ["list --all", "info demo", "help list", "clean --dry-run"]
WRITING = ["forget", "ignore export", "-a export", "preflight demo"]
BY_HAND = "-m stages.export --video demo"


@pytest.fixture(scope="module")
def root(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_built(built, tmp_path_factory.mktemp("streams") / "project")


def run(root: Path, command: str, streams: str, *, is_buffered: bool = True) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command with a shell's redirections."""
    variables = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}
    if not is_buffered:
        variables["PYTHONUNBUFFERED"] = "1"
    line = f'exec "{sys.executable}" {command if command == BY_HAND else f"-m doit {command}"} {streams}'
    done = subprocess.run(
        ["sh", "-c", line], cwd=root, env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", [*READING, *WRITING])
def test_a_closed_stdout_is_one_message_before_anything_is_done(root: Path, command: str):
    assert run(root, command, ">&-") == (1, "", CLOSED)


@pytest.mark.parametrize("command", READING)
def test_a_full_stdout_is_one_message(root: Path, command: str):
    assert run(root, command, ">/dev/full") == (1, "", FULL)


@pytest.mark.parametrize("command", ["list", "run"])
def test_a_full_stdout_is_one_message_also_where_nothing_is_buffered(root: Path, command: str):
    assert run(root, command, ">/dev/full", is_buffered=False) == (1, "", FULL)


def test_a_run_whose_stdout_is_full_is_one_message_also_where_something_is_made(root: Path):
    assert run(root, "-a export", ">/dev/full") == (1, "", FULL)
    assert run(root, "run", "")[0] == 0


@pytest.mark.parametrize("is_buffered", [True, False])
def test_a_reader_who_leaves_is_no_fault(root: Path, *, is_buffered: bool):
    said = run(root, "list --all", "| head -c 1; exit 7", is_buffered=is_buffered)[1:]
    assert said == ("d", "")


@pytest.mark.parametrize("streams", ["<&-", "2>&-", "<&- 2>&-"])
def test_what_else_is_closed_changes_nothing(root: Path, streams: str):
    code, printed, _ = run(root, "-a -s export", streams)
    assert code == 0
    assert "made in" in printed


def test_by_hand_a_closed_or_full_stdout_is_one_message(root: Path):
    assert run(root, BY_HAND, ">&-") == (1, "", CLOSED)
    code, _, said = run(root, BY_HAND, ">/dev/full")
    assert (code, said.endswith(FULL), "Traceback" in said) == (1, True, False)


def test_a_closed_stderr_takes_no_message_and_the_code_says_it(tmp_path: Path):
    assert run(copy_project(tmp_path), "list denoise.sed=1", "2>&-") == (1, "", "")
