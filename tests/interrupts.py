"""Ctrl-C for child processes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible_children() -> Iterator[None]:
    """Children that are started in the block hear SIGINT, also where this process ignores it.

    A shell's background job ignores it, and its children would, too; a handled signal is not inherited.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
