"""What `doit timings` says: the runs of a store by what they computed and where, and which of them were slow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from stages.geometry import VideoSize
from stages.history.runs import PastRun, Place
from stages.history.work import Work
from stages.keys import JsonValue

_MIN_EQUALS = 3  # of whose times a median says what is usual
_SLOW = 1.5  # times the median of its equals


@dataclass(frozen=True)
class Timing:
    """Runs that are alike: of one stage and size, by one program, in one place.

    Attributes:
        compiled: those that compiled a program.
        first: other first ones of a process: it was started and loaded the model.
        later: those of a process that had the model.
    """

    work: Work
    place: Place
    compiled: tuple[PastRun, ...]
    first: tuple[PastRun, ...]
    later: tuple[PastRun, ...]

    @property
    def runs(self) -> tuple[PastRun, ...]:
        """All of them."""
        return (*self.compiled, *self.first, *self.later)

    @property
    def step_s(self) -> float | None:
        """Seconds per step, or what else the stage counts; the median."""
        found = [run.step_s for run in self.runs if run.step_s is not None]
        return median(found) if found else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that a process had."""
        return max((run.peak_memory_bytes for run in self.runs if run.peak_memory_bytes is not None), default=None)

    @property
    def slow(self) -> Sequence[tuple[PastRun, float]]:
        """Runs that took far longer than their equals, each with how many times as long as these did."""
        return [
            (run, run.total_s / usual_s)
            for alike in (self.compiled, self.first, self.later)
            if len(alike) >= _MIN_EQUALS and (usual_s := median_s(alike))
            for run in alike
            if run.total_s > _SLOW * usual_s
        ]

    def to_json(self) -> dict[str, JsonValue]:
        """One row of `doit timings --json`; its fields are an interface. Times are seconds, sizes bytes.

        `parameters` are those that must be equal for runs to be compared, and the program.
        """
        return {
            "stage": self.work.stage,
            "parameters": dict(self.work.kind),
            "components": dict(self.work.components),
            **size_to_json(self.work.size),
            "num_inference_steps": self.work.num_steps or None,
            "host": self.place.host,
            "device": self.place.device,
            "num_devices": self.place.num_devices,
            "compiled": _count(self.compiled),
            "first": _count(self.first),
            "later": _count(self.later),
            "step_s": self.step_s,
            "peak_memory_bytes": self.peak_memory_bytes,
            "slow": [
                {"key": run.artifact.key, "seconds": round(run.total_s, 3), "times_the_median": round(factor, 2)}
                for run, factor in self.slow
            ],
        }


def group_runs(runs: Iterable[PastRun], stages: Sequence[str]) -> list[Timing]:
    """Runs that are alike together: by place, then in the order of `stages`, the smallest videos first."""
    groups: dict[Any, list[PastRun]] = {}
    for run in runs:
        groups.setdefault((run.place, run.work.model, run.work.size, run.work.num_steps), []).append(run)

    def rank(timing: Timing) -> tuple[object, ...]:
        place, work = timing.place, timing.work
        return (place.host, place.device, place.num_devices, stages.index(work.stage), work.amount or 0.0, work.model)

    return sorted((_timing(alike) for alike in groups.values()), key=rank)


def median_s(runs: Sequence[PastRun]) -> float:
    """The median of all that they took, in seconds."""
    return median(run.total_s for run in runs)


def size_to_json(size: VideoSize | None) -> dict[str, JsonValue]:
    """Frames, height and width; null where no size matters or none is known."""
    if size is None:
        return {"num_frames": None, "height": None, "width": None}
    return {"num_frames": size.num_frames, "height": size.height, "width": size.width}


def _timing(alike: Sequence[PastRun]) -> Timing:
    def pick(belongs: Callable[[PastRun], bool]) -> tuple[PastRun, ...]:
        return tuple(run for run in alike if belongs(run))

    return Timing(
        work=alike[0].work,
        place=alike[0].place,
        compiled=pick(lambda run: run.was_compiled),
        first=pick(lambda run: not run.was_compiled and run.is_first is not False),
        later=pick(lambda run: not run.was_compiled and run.is_first is False),
    )


def _count(runs: Sequence[PastRun]) -> dict[str, JsonValue]:
    return {"runs": len(runs), "median_s": round(median_s(runs), 3) if runs else None}
