"""How far a running node is: what its events say, as a pace and a time left. Clocks come in as arguments."""

from dataclasses import dataclass

from stages.run.runner import Event

BYTES = "MiB"  # a unit of which there are many in a second
_TICK_S = 1e-9  # of the clock, within which two events can come


@dataclass(frozen=True)
class Progress:
    """The last word on a running node.

    Attributes:
        phase: the part of the work, in the words of its process; "" before the first.
        unit: of what is counted in this phase, such as "step"; "" where nothing is.
        done, total: units.
        first: units done and time in seconds when the phase's first unit was done, or, of bytes, when the first were
            counted; the pace counts from there. None before.
        latest: time in seconds of the last count.
    """

    phase: str = ""
    unit: str = ""
    done: int = 0
    total: int = 0
    first: tuple[int, float] | None = None
    latest: float = 0.0

    def after(self, event: Event, now: float) -> "Progress":
        """The progress after an event of job.py that comes at `now`, in seconds; other events change nothing."""
        if event["event"] == "phase":
            return Progress(phase=str(event["name"]))
        if event["event"] != "progress":
            return self
        done, total, unit = int(str(event["done"])), int(str(event["total"])), str(event["unit"])
        # the first unit includes compiling; bytes can have been there before
        first = (done, now) if self.first is None and (done or unit == BYTES) else self.first
        return Progress(self.phase, unit, done, total, first, now)

    @property
    def what(self) -> str:
        """Such as "step 3/20", "download 12/600 MiB", or the name of a phase without units."""
        if not self.unit:
            return self.phase
        if self.unit == BYTES:
            return f"{self.phase} {self.done}/{self.total} {self.unit}"
        return f"{self.unit} {self.done}/{self.total}"

    @property
    def unit_s(self) -> float | None:
        """Seconds per unit; None before the second one."""
        if self.first is None or self.done <= self.first[0]:
            return None
        return max(self.latest - self.first[1], _TICK_S) / (self.done - self.first[0])

    @property
    def pace(self) -> str:
        """Such as "1.24 s/step" or "83.1 MiB/s"; "" before the second unit."""
        if self.unit_s is None:
            return ""
        return f"{1 / self.unit_s:.1f} {BYTES}/s" if self.unit == BYTES else f"{self.unit_s:.2f} s/{self.unit}"

    def left_s(self, now: float) -> float | None:
        """Seconds until the last unit is done; None before the second one."""
        if self.unit_s is None:
            return None
        return max(self.unit_s * (self.total - self.done) - (now - self.latest), 0.0)
