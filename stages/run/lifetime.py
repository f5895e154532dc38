"""When a stage's process ends, besides when doit lets it go: when doit is gone, or when a signal asks for it.

The child's half of what worker.py does to end it. An idle process just ends; one in the middle of a job first saves
what it can go on from. Imports nothing that takes time: the first of it is needed before all else is imported.
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
_MAX_SAVE_S = 10.0  # a disk, or who holds a lock of the store, may never answer


def _end() -> None:
    os._exit(_FAILURE)  # in the middle of a computation nothing gentler is heard


class Lifeline:
    """A pipe that nobody writes to, and whose other end doit has: it breaks when doit ends, however it ends.

    (Linux can tie a process to the thread of its parent that started it, by `prctl`; with `doit -n 4` that thread may
    end long before doit does.)
    """

    def __init__(self, descriptor: int) -> None:
        """End this process at once when the pipe breaks, also while it imports; see `call_instead`."""
        self._descriptor = descriptor
        self._on_break: Callable[[], None] = _end
        if hasattr(fcntl, "F_SETSIG"):  # of Linux: a signal needs no lock of Python's, which a library that is loaded
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())  # may hold for a second; elsewhere the thread waits
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGTERM)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
        threading.Thread(target=self._wait, daemon=True).start()
        if self.is_broken:  # since before the kernel was asked, and the thread may have to wait for the lock
            _end()

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


class Lifetime:
    """Whether the process is in the middle of something. May be used by several threads."""

    def __init__(self, lifeline: Lifeline | None = None) -> None:
        """It is: it imports. Without a lifeline nobody is waiting for what it does."""
        self._lifeline = lifeline
        self._lock = threading.Lock()
        self._save: Callable[[], None] | None = lambda: None
        if lifeline is not None:
            lifeline.call_instead(self.end)

    def begin(self, save: Callable[[], None]) -> None:
        """A job has come, and `save` keeps of it what can be kept, whenever it is called.

        If doit is gone, the process ends here: the job may have come just before.
        """
        with self._lock:
            if self._is_orphaned:
                _end()
            self._save = save

    def rest(self) -> None:
        """Nothing is to be done at present: the process waits for a job."""
        with self._lock:
            self._save = None

    def end(self) -> None:
        """End the process, in whatever thread this is called.

        An idle one that doit has left finds so itself: its stdin has ended as well, and it may have to tell others.
        """
        with self._lock:
            if self._save is None and self._is_orphaned:
                return
            try:
                if self._save is not None:
                    limit = threading.Timer(_MAX_SAVE_S, _end)
                    limit.daemon = True
                    limit.start()
                    self._save()
            finally:
                _end()

    @property
    def _is_orphaned(self) -> bool:
        return self._lifeline is not None and self._lifeline.is_broken
