"""How a stage's process ends when doit is gone or a signal comes, whatever it is doing; in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.processes

IN_TIME_S = 1.0  # from the end of doit to that of its processes
BUSY = """
import ctypes, os, sys, threading
from stages.machine.lifeline import find_lifeline
from stages.run.lifetime import Lifetime
lifeline = find_lifeline(sys.argv)
doing, save = sys.argv[1], lambda: print("saved", flush=True)
if doing != "importing":
    import signal
    from stages.run.signals import heard_at_once
    lifetime = Lifetime(lifeline)
    heard = heard_at_once(lambda _number: lifetime.end())
    heard.__enter__()
    lifetime.rest()
    if doing == "working":
        lifetime.begin(save)
print("ready", flush=True)
if doing == "importing":
    ctypes.PyDLL(None).sleep(30)  # a library that is being loaded keeps Python's lock
elif doing == "working":
    while True:  # a signal ends a sleep
        ctypes.CDLL(None).sleep(30)
else:
    sys.stdin.read()
    print("left", flush=True)
"""


def start(doing: str) -> tuple["subprocess.Popen[str]", int]:
    """A process that is doing this, and the end of the pipe that it follows."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, doing, "--parent-fd", str(reader)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[reader],
        text=True,
    )
    os.close(reader)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process, writer


@pytest.mark.parametrize(
    ("doing", "output", "code"),
    [("importing", "", -signal.SIGTERM), ("working", "saved\n", 1), ("waiting", "left\n", 0)],
)
def test_a_process_whose_parent_is_gone_ends_in_time(doing: str, output: str, code: int):
    """One that works saves first; one that waits finds that there are no more jobs, and may have to tell others."""
    process, writer = start(doing)
    with process:
        assert process.stdin is not None
        began = time.monotonic()
        os.close(writer)
        process.stdin.close()
        assert process.wait(30) == code
        assert time.monotonic() - began < IN_TIME_S
        assert process.stdout is not None
        assert process.stdout.read() == output


@pytest.mark.parametrize(
    ("doing", "output", "code"),
    [("importing", "", -signal.SIGTERM), ("working", "saved\n", 1), ("waiting", "", 1)],
)
def test_a_process_that_is_asked_to_end_does(doing: str, output: str, code: int):
    process, writer = start(doing)
    with process:
        began = time.monotonic()
        process.terminate()
        assert process.wait(30) == code
        assert time.monotonic() - began < IN_TIME_S
        assert process.stdout is not None
        assert process.stdout.read() == output
    os.close(writer)


def test_a_job_that_came_just_before_the_parent_ended_is_never_begun():
    """The job has been read and the process was idle: whoever looks first at the pipe ends it. Tried many times."""
    program = """
import os, sys
from stages.machine.lifeline import Lifeline
from stages.run.lifetime import Lifetime
reader, writer = os.pipe()
lifetime = Lifetime(Lifeline(reader))
lifetime.rest()
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the threads alone
os.close(writer)
lifetime.begin(lambda: None)
print("begun", flush=True)
"""
    for _ in range(5):
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (1, "")


def test_without_a_parent_to_follow_a_job_is_begun():
    program = "from stages.run.lifetime import Lifetime; Lifetime().begin(print); print('begun')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "begun\n"


def test_what_cannot_be_saved_in_time_ends_all_the_same():
    program = """
import time
from stages.run import lifetime
lifetime._MAX_SAVE_S = 0.1
alive = lifetime.Lifetime()
alive.begin(lambda: time.sleep(60))
alive.end()
"""
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == 1
    assert time.monotonic() - began < 30
