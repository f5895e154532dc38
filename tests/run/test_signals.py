"""Signals that ask a process to end, in processes of their own."""

import signal
import subprocess
import sys

import pytest

from stages.run.signals import ENDINGS
from tests.interrupts import interruptible_children

pytestmark = pytest.mark.processes

# The main thread sleeps in one call of C's, which Python's own handlers do not interrupt; `PyDLL` would keep its lock.
HEARD = """
import ctypes, os, signal, sys, threading, time
from stages.run.signals import heard_at_once
def hear(number):
    print(number, threading.current_thread() is threading.main_thread(), flush=True)
    if number != signal.SIGINT:
        os._exit(3)
with heard_at_once(hear):
    print("ready", flush=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ctypes.CDLL(None).sleep(60)
"""
INTERRUPTED = """
import os, signal, sys, time
from stages.run.signals import as_interrupts
try:
    with as_interrupts():
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(60 if sys.argv[2] == "raised" else 0)
    print("ignored")
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(int(sys.argv[1])) == signal.SIG_DFL)
"""


@pytest.mark.parametrize("number", ENDINGS)
def test_a_process_in_the_middle_of_a_long_call_hears_a_signal_at_once_in_another_thread(number: signal.Signals):
    with subprocess.Popen([sys.executable, "-c", HEARD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 3
        assert process.stdout.read() == f"{int(number)} False\n"


def test_ctrl_c_is_heard_too_and_is_still_an_interrupt():
    program = HEARD.replace("ctypes.CDLL(None).sleep(60)", "time.sleep(60)")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with interruptible_children():
        process = subprocess.Popen([sys.executable, "-c", program], **pipes)
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
    assert output == f"{int(signal.SIGINT)} False\n"
    assert error.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("number", ENDINGS)
def test_signals_that_end_are_interrupts_in_the_block_and_only_there(number: signal.Signals):
    command = [sys.executable, "-c", INTERRUPTED, str(int(number)), "raised"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "interrupted True\n"


@pytest.mark.parametrize("block", ["heard_at_once(print)", "as_interrupts()"])
def test_what_a_process_was_started_to_ignore_stays_ignored(block: str):
    program = f"""
import signal
from stages.run.signals import as_interrupts, heard_at_once
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with {block}:
    signal.raise_signal(signal.SIGHUP)
print("ignored", signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "ignored True\n"
