"""A process that is a help to another one ends with it, however that one ends.

Imports nothing that takes time: the first of it is needed before all else is imported.
"""

import fcntl
import os
import select
import signal
import threading
from collections.abc import Callable
from itertools import pairwise

_OPTION = "--parent-fd"
_FAILURE = 1


def end_now() -> None:
    """End this process as one that has failed: in the middle of a computation nothing gentler is heard."""
    os._exit(_FAILURE)


class Lifeline:
    """A pipe that nobody writes to, and whose other end doit has: it breaks when doit ends, however it ends.

    (Linux can tie a process to the thread of its parent that started it, by `prctl`; with `doit -n 4` that thread may
    end long before doit does.)
    """

    def __init__(self, descriptor: int) -> None:
        """End this process at once when the pipe breaks, also while it imports; see `call_instead`."""
        self._descriptor = descriptor
        self._on_break: Callable[[], None] = end_now
        if hasattr(fcntl, "F_SETSIG"):  # of Linux: a signal needs no lock of Python's, which a library that is loaded
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())  # may hold for a second; elsewhere the thread waits
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGTERM)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
        threading.Thread(target=self._wait, daemon=True).start()
        if self.is_broken:  # since before the kernel was asked, and the thread may have to wait for the lock
            end_now()

    def call_instead(self, on_break: Callable[[], None]) -> None:
        """Call this, in another thread, when the pipe breaks. The kernel's signal, SIGTERM, comes all the same."""
        self._on_break = on_break

    @property
    def is_broken(self) -> bool:
        """Whether doit has ended."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _wait(self) -> None:
        os.read(self._descriptor, 1)
        self._on_break()


def find_lifeline(arguments: list[str]) -> Lifeline | None:
    """The lifeline whose descriptor a command line names, or None where it names none."""
    values = [value for option, value in pairwise(arguments) if option == _OPTION]
    return Lifeline(int(values[0])) if values else None
