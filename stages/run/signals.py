"""Signals that ask a process to end: heard at once by one that computes, and as Ctrl-C by one that waits.

Python's own handlers run between two bytecodes of the main thread, and a step of a computation is one bytecode.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

# What ends a process unless it says otherwise, and is sent for that: by supervisors, and by a terminal that is closed.
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heard_at_once(hear: Callable[[int], None]) -> Iterator[None]:
    """Call `hear` with the number of each of ENDINGS that comes, and of SIGINT, at once and in a thread of its own.

    SIGINT keeps its handler besides; the others then have no other effect. What the process was started to ignore (as
    `nohup` does with SIGHUP) stays ignored. To be used in the main thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while numbers := os.read(reader, 1):
            hear(numbers[0])
        os.close(reader)

    listener = threading.Thread(target=listen, daemon=True)
    before_writer = signal.set_wakeup_fd(writer)  # Python's handler in C writes the number, whatever Python is doing
    listener.start()
    try:
        with _handled(lambda _number, _frame: None):
            yield
    finally:
        signal.set_wakeup_fd(before_writer)
        os.close(writer)
        listener.join()


@contextmanager
def as_interrupts() -> Iterator[None]:
    """In the block, ENDINGS raise KeyboardInterrupt, as Ctrl-C does; but for those that the process ignores.

    To be used in the main thread.
    """
    with _handled(signal.default_int_handler):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], Any], numbers: Sequence[int] = ENDINGS) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number in numbers:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, before[number])
