"""Signals that ask a process to end, in processes of their own."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stages.run.signals import ENDINGS, as_interrupts
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
import signal, sys, time
from stages.run.signals import as_interrupts
ALL = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
try:
    with as_interrupts():
        try:
            signal.raise_signal(int(sys.argv[1]))
            time.sleep(60)
        finally:
            for number in ALL:
                signal.raise_signal(number)
            print("saved")
except KeyboardInterrupt:
    for number in ALL:
        signal.raise_signal(number)
    print("interrupted")
"""
INTERRUPTS = (*ENDINGS, signal.SIGINT)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Whatever this process was started to ignore."""
    with interruptible_children():
        yield


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
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
    assert output == f"{int(signal.SIGINT)} False\n"
    assert error.splitlines()[-1] == "KeyboardInterrupt"


def test_other_signals_that_python_handles_are_not_heard():
    """Such as those of a library that uses a timer or waits for its children."""
    program = HEARD.replace(
        'print("ready"', "signal.signal(signal.SIGALRM, print); signal.raise_signal(signal.SIGALRM); print('ready'"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{int(signal.SIGALRM)} <frame ")
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 3
        assert process.stdout.read() == f"{int(signal.SIGTERM)} False\n"


@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_is_heard_though_a_library_has_put_its_own_handler_in_its_place(number: signal.Signals):
    """As opening a TPU may do; ctypes stands in for the library, whose handlers Python does not see either."""
    program = HEARD.replace(
        'print("ready"',
        "from stages.run.signals import renew_handlers\n"
        f"    ctypes.CDLL(None).signal({int(number)}, ctypes.c_void_p(1))  # SIG_IGN\n"
        "    renew_handlers()\n"
        '    print("ready"',
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 3


@pytest.mark.parametrize("number", INTERRUPTS)
def test_the_first_signal_in_the_block_is_an_interrupt_and_all_that_follow_are_ignored(number: signal.Signals):
    """What is saved because of the first must not be lost by the second."""
    command = [sys.executable, "-c", INTERRUPTED, str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "saved\ninterrupted\n", "")


def test_after_a_block_that_nobody_has_interrupted_signals_are_handled_as_before():
    before = [signal.getsignal(number) for number in INTERRUPTS]
    with as_interrupts():
        assert signal.getsignal(signal.SIGINT) != before[-1]
    assert [signal.getsignal(number) for number in INTERRUPTS] == before


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
