"""A process whose encoder stands still ends; one that computes, or was stopped, goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest

from stages.export.standstill import ended_at_a_standstill
from tests.project import PROJECT

pytestmark = pytest.mark.processes

BEGIN = """
import threading, time
from stages.export.standstill import ended_at_a_standstill
def compute():
    end = time.monotonic() + 2
    while time.monotonic() < end:
        pass
with ended_at_a_standstill("the encoder", num_slices=3, slice_s=0.4):
    print("begun", flush=True)
    {meanwhile}
print("over", flush=True)
"""


def start(meanwhile: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN.format(meanwhile=meanwhile)],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_in_which_no_thread_goes_on_ends_and_says_so():
    with start("threading.Event().wait()") as process:
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (1, "begun\n")
    assert said == "the encoder has stood still for 1 s; run `doit` again\n"


def test_a_process_that_computes_in_another_thread_goes_on():
    with start("spin = threading.Thread(target=compute); spin.start(); spin.join()") as process:
        printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "begun\nover\n")


def test_a_process_that_was_stopped_goes_on():
    with start("time.sleep(0.6)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "over\n")


def test_what_ends_by_itself_is_not_waited_for():
    started = time.monotonic()
    with ended_at_a_standstill("the encoder", slice_s=60):
        pass
    assert time.monotonic() - started < 30
