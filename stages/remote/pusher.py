"""Pushes what has been made while the next node is made: a queue, and a thread that ends with the process."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stages.errors import RemoteError, StagesError
from stages.keys import ArtifactId
from stages.remote.upload import Pushed

_LOOK_S = 0.2  # between two looks whether all is there


@dataclass(frozen=True)
class Outcome:
    """What has become of what was to be pushed.

    Attributes:
        num_pushed: artifacts that the remote store has now.
        num_bytes: that were sent.
        left: what it does not have, and why.
    """

    num_pushed: int = 0
    num_bytes: int = 0
    left: Mapping[ArtifactId, str] = field(default_factory=dict)


class Pusher:
    """Pushes artifacts one after the other; each in parts, several at a time."""

    def __init__(self, push: Callable[[ArtifactId, Callable[[int], None]], Pushed]) -> None:
        """`push` pushes one, and says the number of bytes of each part that is there."""
        self._push = push
        self._queue: queue.SimpleQueue[ArtifactId] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._waiting = Counter[ArtifactId]()  # how often each is still to be pushed
        self._left: dict[ArtifactId, str] = {}
        self._num_pushed = self._sent_bytes = self._done_bytes = self._total_bytes = 0
        self._away = ""

    def add(self, artifact: ArtifactId, size_bytes: int) -> None:
        """Push an artifact when its turn comes, of whose payload so many bytes are to be sent."""
        with self._lock:
            self._waiting[artifact] += 1
            self._total_bytes += size_bytes
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        self._queue.put(artifact)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be pushed."""
        return not self._waiting

    def wait(self, observe: Callable[[int, int], None]) -> Outcome:
        """Return when all is there, or is known to fail; `observe` is called with bytes that are there, and all.

        What a signal raises meanwhile ends the waiting; `outcome` then says what is left.
        """
        with self._changed:
            while self._waiting:
                observe(min(self._done_bytes, self._total_bytes), self._total_bytes)
                self._changed.wait(_LOOK_S)
        return self.outcome()

    def outcome(self) -> Outcome:
        """What has become of all so far; what still waits counts as left."""
        with self._lock:
            left = {**self._left, **dict.fromkeys(self._waiting, self._away or "the run has ended before")}
            return Outcome(self._num_pushed, self._sent_bytes, left)

    def _work(self) -> None:
        while True:
            artifact = self._queue.get()
            try:
                fault = self._away
                if not fault:
                    pushed = self._push(artifact, self._note)
                    with self._lock:
                        self._num_pushed += 1
                        self._sent_bytes += pushed.num_bytes
            except RemoteError as error:
                fault = self._away = str(error)  # what comes after it would have to wait as long
            except StagesError as error:
                fault = str(error)
            except Exception as error:  # whoever waits would wait for ever
                fault = f"{type(error).__name__}: {error}"
            with self._changed:
                self._left.pop(artifact, None)
                if fault:
                    self._left[artifact] = fault
                self._waiting[artifact] -= 1
                if not self._waiting[artifact]:
                    del self._waiting[artifact]
                self._changed.notify_all()

    def _note(self, num_bytes: int) -> None:
        with self._lock:
            self._done_bytes += num_bytes
