"""What a running stage reports: events for whoever watches, and the times of its phases for run.json."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

from stages.keys import JsonValue
from stages.machine.binary_units import MIB

EVENTS_OPTION = "--events-fd"  # of a stage's program: the descriptor of the pipe for its events
# Names of events that the parent (worker_process.py) uses itself and does not pass on to whoever watches: the process
# has taken the job; it is about to join the processes of other hosts; it has locked its accelerators.
ACCEPTED, JOINING, HOLDING = "accepted", "joining", "holding"


class Report:
    """What a running stage reports: how far it is, warnings, how long each phase took, and how it is interrupted.

    Attributes:
        wall_s: seconds of each phase, of all the times that it was entered.
        steady_s: seconds per unit of each phase that reports its progress: the median, without the first unit.
    """

    def __init__(
        self, send: Callable[[Mapping[str, JsonValue]], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`send` passes one event on; `clock` tells the time in seconds since any moment."""
        self._send = send
        self._clock = clock
        self._ends: dict[str, list[tuple[int, float]]] = {}  # of the present phase, by unit: how many were done when
        self._save: Callable[[], None] | None = None
        self._interrupting = threading.Lock()
        self.wall_s: dict[str, float] = {}
        self.steady_s: dict[str, JsonValue] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the work; its name is shown until the next one starts."""
        self._send({"event": "phase", "name": name})
        entered = self._clock()
        self._ends = {}
        yield
        self.wall_s[name] = round(self.wall_s.get(name, 0) + self._clock() - entered, 3)
        for unit, ends in self._ends.items():
            paces = [
                (end - start) / (done - before) for (before, start), (done, end) in pairwise(ends) if done > before
            ]
            if paces:
                self.steady_s[unit] = round(median(paces), 4)

    def progress(self, done: int, total: int, unit: str) -> None:
        """`done` of `total` units (such as "step") of the present phase are finished."""
        self._ends.setdefault(unit, []).append((done, self._clock()))
        self._send({"event": "progress", "done": done, "total": total, "unit": unit})

    def progress_bytes(self, done_bytes: int, total_bytes: int) -> None:
        """`progress` in MiB."""
        self.progress(-(-done_bytes // MIB), -(-total_bytes // MIB), "MiB")

    def note_joining(self) -> None:
        """From now on the process depends on those of other hosts: it waits for them, and ends when one ends."""
        self._send({"event": JOINING})

    def note_devices(self) -> None:
        """From now on the process has accelerators that no other process on this machine can have."""
        self._send({"event": HOLDING})

    def show_waiting(self, what: str) -> None:
        """Shown in place of the phase until the next event."""
        self._send({"event": "phase", "name": what})

    def warn(self, message: str) -> None:
        """Something that the user should know, though it stops nothing."""
        self._send({"event": "warning", "message": message})

    def note(self, message: str) -> None:
        """Something that is as it should be, and that the user may want to know."""
        self._send({"event": "note", "message": message})

    def show_preview(self, path: Path) -> None:
        """From now on a file shows what the result is about to become; it is replaced again and again."""
        self._send({"event": "preview", "path": str(path)})

    def when_interrupted(self, save: Callable[[], None]) -> None:
        """From now on `save` is called, in another thread, when the process is to end in the middle of this job.

        It keeps of the work what can be kept.
        """
        self._save = save

    @contextmanager
    def completing(self) -> Iterator[None]:
        """Who interrupts waits for the end of this block; when it has gone well, nothing is left to save."""
        with self._interrupting:
            yield
            self._save = None

    def interrupt(self) -> None:
        """The process is to end: save what the stage has said. May be called by any thread."""
        with self._interrupting:
            if self._save is not None:
                self._save()
