"""Signals that ask a process to end: heard at once by one that computes, and as Ctrl-C by one that waits.

Python's own handlers run between two bytecodes of the main thread, and a step of a computation is one bytecode.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

# What ends a process unless it says otherwise, and is sent for that: by supervisors, and by a terminal that is closed.
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
_INTERRUPTS = (*ENDINGS, signal.SIGINT)
_Handler: TypeAlias = Callable[[int, FrameType | None], Any]


@contextmanager
def heard_at_once(hear: Callable[[int], None]) -> Iterator[None]:
    """Call `hear` with the number of each of ENDINGS that comes, and of SIGINT, at once and in a thread of its own.

    SIGINT keeps its handler besides; the others then have no other effect. What the process was started to ignore (as
    `nohup` does with SIGHUP) stays ignored. Other signals that Python handles are none of this. To be used in the main
    thread.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while numbers := os.read(reader, 1):
            if numbers[0] in _INTERRUPTS:  # the pipe has the numbers of all signals that have a handler of Python's
                hear(numbers[0])
        os.close(reader)

    listener = threading.Thread(target=listen, daemon=True)
    before_writer = signal.set_wakeup_fd(writer)  # Python's handler in C writes the number, whatever Python is doing
    listener.start()
    before = _install(lambda _number, _frame: None, ENDINGS)
    try:
        yield
    finally:
        _restore(before)
        signal.set_wakeup_fd(before_writer)
        os.close(writer)
        listener.join()


@contextmanager
def as_interrupts() -> Iterator[None]:
    """In the block, the first of ENDINGS and SIGINT raises KeyboardInterrupt; but for those that are ignored already.

    From then on all of them are ignored until the process ends: supervisors and terminals send two at a time, and what
    is saved because of the first must not be lost by the second. To be used in the main thread.
    """
    was_interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        for number in _INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = _install(interrupt, _INTERRUPTS)
    try:
        yield
    finally:
        if not was_interrupted:
            _restore(before)


def renew_handlers() -> None:
    """Install the handlers of ENDINGS and SIGINT again, in case a library's C code has put its own in their place.

    To be used in the main thread.
    """
    for number in _INTERRUPTS:
        handler = signal.getsignal(number)
        if callable(handler):
            signal.signal(number, handler)


def _install(handler: _Handler, numbers: Sequence[int]) -> dict[int, Any]:
    """Handle signals, but for those that the process ignores; what has handled them before."""
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    return before


def _restore(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
