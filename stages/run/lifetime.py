"""When a stage's process ends, besides when doit lets it go: when doit is gone, or when a signal asks for it.

The child's half of what worker.py does to end it. An idle process just ends; one in the middle of a job first saves
what it can go on from. How a process notices that doit is gone is in stages/machine/lifeline.py.
"""

import threading
from collections.abc import Callable

from stages.machine.lifeline import Lifeline, end_now

# In which a process that is to end saves its job; then it ends all the same, or its parent kills it. A disk, or who
# holds a lock of the store, may never answer.
SAVE_S = 5.0


class Lifetime:
    """Whether this process is busy, and what it saves before it ends. May be used by several threads."""

    def __init__(self, lifeline: Lifeline | None = None) -> None:
        """The process is busy importing, and has nothing to save. Without a lifeline it follows no parent."""
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
                end_now()
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
                    limit = threading.Timer(SAVE_S, end_now)
                    limit.daemon = True
                    limit.start()
                    self._save()
            finally:
                end_now()

    @property
    def _is_orphaned(self) -> bool:
        return self._lifeline is not None and self._lifeline.is_broken
