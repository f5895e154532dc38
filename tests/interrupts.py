"""Ctrl-C, and signals that end, for child processes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Children that are started in the block hear what ends a process, also where this one ignores it.

    A shell's background job ignores SIGINT, what `nohup` starts SIGHUP, and their children would, too; a handled signal
    is not inherited.
    """
    handlers = {number: signal.signal(number, signal.default_int_handler) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
