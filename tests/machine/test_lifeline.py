"""A process ends with the one that it works for, in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.machine.lifeline import keep_from_children, run_module, start_elsewhere

pytestmark = pytest.mark.processes

FOLLOWER = """
import sys, time
from stages.machine.lifeline import find_lifeline
lifeline = find_lifeline(sys.argv)
time.sleep(60)
"""
ASKED = """
import os, sys, time
print(sys.argv[1:], __name__, flush=True)
if sys.argv[1] == "wait":
    open("started", "w").write(str(os.getpid()))
    time.sleep(60)
sys.exit("a reason")
"""
IN_TIME_S = 1.0


def is_running(process_id: int) -> bool:
    """Whether a process has not ended; who reaps orphans here may take its time."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_process_whose_parent_was_gone_before_it_began_ends():
    reader, writer = os.pipe()
    os.close(writer)
    command = [sys.executable, "-c", FOLLOWER, "--parent-fd", str(reader)]
    ended = subprocess.run(command, pass_fds=[reader], check=False, timeout=30)
    os.close(reader)
    assert ended.returncode != 0


@pytest.mark.parametrize("option", ["--parent-fd", "--events-fd"])
def test_a_pipe_that_an_option_names_is_not_passed_on_to_children(option: str):
    """Else its reader would wait for them, too, before it sees that this process has ended."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    keep_from_children(["program", option, str(writer), "--other", "5"])
    assert not os.get_inheritable(writer)
    os.close(reader)
    os.close(writer)


def test_an_option_that_names_no_open_file_is_left_to_whoever_uses_it():
    keep_from_children(["--events-fd", "987654", "--events-fd", "x"])


def test_a_module_is_run_as_a_program_with_its_own_arguments(tmp_path: Path):
    (tmp_path / "asked.py").write_text(ASKED)
    ended = run_module("asked", "one", "--two", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "['one', '--two'] __main__\n", "a reason\n")


def test_a_module_elsewhere_is_found_by_its_variables_alone(tmp_path: Path):
    """Not in its folder, and not beside the file that starts it: `versions` is a module there."""
    (tmp_path / "found").mkdir()
    (tmp_path / "found/asked.py").write_text("import sys; print(sys.argv[1:], __name__)\nimport versions")
    (tmp_path / "versions.py").touch()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "found")}
    with (
        (tmp_path / "printed").open("w+b") as printed,
        start_elsewhere("asked", "--two", cwd=tmp_path, environment=environment, stdout=printed.fileno()) as process,
    ):
        assert process.wait() == 1
        printed.seek(0)
        assert printed.read() == b"['--two'] __main__\n"


def test_a_module_that_takes_too_long_is_killed(tmp_path: Path):
    (tmp_path / "asked.py").write_text(ASKED)
    with pytest.raises(subprocess.TimeoutExpired):
        run_module("asked", "wait", cwd=tmp_path, timeout_s=0.5)


def test_a_module_that_is_run_ends_when_its_parent_is_killed(tmp_path: Path):
    (tmp_path / "asked.py").write_text(ASKED)
    program = "from stages.machine.lifeline import run_module; run_module('asked', 'wait')"
    with subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path) as parent:
        deadline = time.monotonic() + 60
        while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process_id = int((tmp_path / "started").read_text())
        parent.send_signal(signal.SIGKILL)
        killed = time.monotonic()
    while is_running(process_id):
        assert time.monotonic() - killed < IN_TIME_S
        time.sleep(0.02)
