"""What runs to come can be expected to take, from those that were: each part of a run by the runs that say most of it.

Nothing is invented: where no run on this machine is near, the seconds are None. docs/decisions/0033-expectations.md.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import Final

from stages.history.runs import PastRun
from stages.history.work import Work
from stages.keys import ArtifactId
from stages.pipeline.stage import DISK, Program

UNKNOWN: Final = "unknown"
_MAX_RUNS = 5  # of which a median is taken, the latest: what a machine was like long ago says less


@dataclass(frozen=True)
class Expectation:
    """What one node can be expected to take.

    Attributes:
        seconds: by the clock; None where nothing says it.
        source: where that is from, in words.
        num_chips: accelerators that it keeps busy.
        size_bytes: of a payload as an equal run has made it; None where there was none.
    """

    seconds: float | None
    source: str
    num_chips: int = 0
    size_bytes: int | None = None


@dataclass
class Forecast:
    """The expectations of one run, whose nodes are asked for in their order: models and programs stay in processes.

    Attributes:
        runs: of the store.
        host: where it is to run.
        settings: of the machine, as in Place.
        is_kept: whether a compiled program of this name can be loaded.
        starts_ahead: whether a program's process is started while the one before works.
    """

    runs: Sequence[PastRun]
    host: str
    settings: tuple[str, ...]
    is_kept: Callable[[str], bool]
    starts_ahead: bool = True
    _present: dict[str, Program] = field(default_factory=dict)  # by device: whose process has it
    _models: dict[Program, bytes] = field(default_factory=dict)
    _shapes: dict[Program, list[object]] = field(default_factory=dict)
    _near: dict[object, "_Near"] = field(default_factory=dict)  # many nodes of a run are alike
    _last: Program | None = None
    _ahead_s: float = 0.0  # since the present program's first job was taken, which is when the next process starts

    def expect(self, work: Work, program: Program, artifact: ArtifactId | None = None) -> Expectation:
        """What the next node takes; `artifact` is what it makes, perhaps again."""
        is_started = self._present.get(program.device) == program
        has_model = is_started and self._models.get(program) == work.model
        has_shape = has_model and work.shape in self._shapes.get(program, [])
        lead_s = self._ahead_s if self._last not in (None, program) and self.starts_ahead else 0.0
        self._note(work, program, has_model=has_model)
        near = self._find_near(work, artifact)
        if not near.runs:
            return Expectation(None, UNKNOWN)
        seconds = near.later_s if is_started else near.first_s
        start_s = 0.0 if is_started else max(near.start_s - lead_s, 0.0)
        if not has_model:
            seconds += near.load_s
        if not has_shape:
            seconds += self._expect_compiling(near.runs, work)
        seconds += self._gaps_s.get(work.stage, 0.0)
        self._ahead_s = self._ahead_s + seconds if is_started else seconds
        seconds += start_s
        return Expectation(seconds, near.source, near.num_chips, near.size_bytes)

    def _note(self, work: Work, program: Program, *, has_model: bool) -> None:
        """Take note of what the processes have when this node is made. Of steps of denoise only the last is kept."""
        if program.device != DISK:
            self._present[program.device] = program
        kept = self._shapes.get(program, []) if has_model and not work.num_steps else []
        self._shapes[program] = [*kept, work.shape]
        self._models[program], self._last = work.model, program

    def _find_near(self, work: Work, artifact: ArtifactId | None) -> "_Near":
        """Runs that can be compared, on this machine: of the same artifact, or of the same model and a known size.

        Where this host has never done such work, those of others with the same kind and number of accelerators as its
        other runs had. The latest come first.
        """
        place = (work.shape, work.num_steps)
        if place not in self._near:
            alike = [
                run for run in self._by_model.get(work.model, ()) if not work.has_size or _ratio(work, run.work) > 0
            ]
            here = [run for run in alike if run.artifact in self._artifacts_here]
            self._near[place] = _Near(work, here or [run for run in alike if self._has_chips_of(run)])
        near = self._near[place]
        own = self._by_artifact.get(artifact) if artifact in self._artifacts_here else None
        if own is None or own.artifact in near.equal_artifacts:
            return near
        return _Near(work, [own, *(run for run in near.runs if run != own)], own)

    def _has_chips_of(self, run: PastRun) -> bool:
        return run.place.num_chips > 0 and (run.place.device, run.place.num_chips) in self._chips_here

    @cached_property
    def _chips_here(self) -> Set[tuple[str, int]]:
        """Kinds and numbers of accelerators that this host's runs had."""
        return {(run.place.device, run.place.num_chips) for run in self.runs if run.place.host == self.host}

    @cached_property
    def _by_artifact(self) -> Mapping[ArtifactId | None, PastRun]:
        return {run.artifact: run for run in self.runs}

    @cached_property
    def _by_model(self) -> Mapping[bytes, list[PastRun]]:
        """The runs, the latest first."""
        found: dict[bytes, list[PastRun]] = {}
        for run in sorted(self.runs, key=lambda run: run.started, reverse=True):
            found.setdefault(run.work.model, []).append(run)
        return found

    @cached_property
    def _loading_s(self) -> Mapping[str, float]:
        """Seconds in which runs here have loaded their programs, by stage; by "", those of all stages."""
        found: dict[str, list[PastRun]] = {}
        for run in sorted(self.runs, key=lambda run: run.started, reverse=True):
            if run.programs and not run.was_compiled and run.artifact in self._artifacts_here:
                found.setdefault(run.artifact.stage, []).append(run)
                found.setdefault("", []).append(run)
        return {stage: median(run.getting_s for run in runs[:_MAX_RUNS]) for stage, runs in found.items()}

    @cached_property
    def _gaps_s(self) -> Mapping[str, float]:
        """By stage, the seconds from the end of one job of a process here to the begin of its next."""
        found: dict[str, list[PastRun]] = {}
        for run in sorted(self.runs, key=lambda run: run.started, reverse=True):
            if run.gap_s is not None and run.artifact in self._artifacts_here:
                found.setdefault(run.artifact.stage, []).append(run)
        return {stage: median(run.gap_s or 0.0 for run in runs[:_MAX_RUNS]) for stage, runs in found.items()}

    @cached_property
    def _artifacts_here(self) -> Set[ArtifactId]:
        """What was made on this machine, with its present settings."""
        here = (self.host, self.settings)
        return {run.artifact for run in self.runs if (run.place.host, run.place.settings) == here}

    def _expect_compiling(self, near: Sequence[PastRun], work: Work) -> float:
        """Seconds until the programs are there, in a process that does not have them."""
        alike = [run for run in near if run.work.shape == work.shape and run.programs]
        if any(all(map(self.is_kept, run.programs)) for run in alike):
            loaded = [run for run in alike if not run.was_compiled]
            if loaded:
                return median(run.compile_s for run in loaded[:_MAX_RUNS])
            tracing_s = median(run.compile_s - run.getting_s for run in alike[:_MAX_RUNS])
            return tracing_s + (self._loading_s.get(work.stage) or self._loading_s.get("", 0.0))
        compiled = [run for run in alike or near if run.was_compiled] or [run for run in near if run.was_compiled]
        if compiled:
            return median(run.compile_s for run in compiled[:_MAX_RUNS])
        return _typical_of(near, lambda run: run.compile_s)


@dataclass(frozen=True)
class _Near:
    """The runs that a work can be compared with, and what follows from them: of thousands of nodes, taken once.

    Attributes:
        work: what is expected of.
        runs: the latest first.
        own: that of the same artifact, which counts as equal whatever it says.
    """

    work: Work
    runs: Sequence[PastRun]
    own: PastRun | None = None

    @cached_property
    def equal(self) -> Sequence[PastRun]:
        """Those of the same size and number of steps."""
        return [run for run in self.runs if run is self.own or _is_equal(run.work, self.work)]

    @cached_property
    def equal_artifacts(self) -> Set[ArtifactId]:
        """What these have made."""
        return {run.artifact for run in self.equal}

    @cached_property
    def first_s(self) -> float:
        """Of the first job in a process, without starting, loading and compiling."""
        return self._expect_rest(is_first=True)

    @cached_property
    def later_s(self) -> float:
        """The same of a later job."""
        return self._expect_rest(is_first=False)

    @cached_property
    def start_s(self) -> float:
        """To start a process."""
        return _typical_of(self.runs, lambda run: run.start_s)

    @cached_property
    def load_s(self) -> float:
        """To load the model."""
        return _typical_of(self.runs, lambda run: run.load_s)

    @cached_property
    def source(self) -> str:
        """Where the figures are from, in words."""
        return _say_source(self.work, self.equal, self._chosen[0])

    @cached_property
    def num_chips(self) -> int:
        """Accelerators that such a work keeps busy."""
        return max(run.place.num_chips for run in self._chosen)

    @cached_property
    def size_bytes(self) -> int | None:
        """Of a payload as an equal run has made it."""
        return round(median(run.size_bytes for run in self.equal)) if self.equal else None

    @cached_property
    def _chosen(self) -> Sequence[PastRun]:
        return self.equal or [_nearest(self.work, self.runs)]

    def _expect_rest(self, *, is_first: bool) -> float:
        factor = 1.0 if self.equal else _ratio(self.work, self._chosen[0].work)
        return factor * _typical(self._chosen, is_first=is_first, part=lambda run: run.rest_s)


def _is_equal(work: Work, other: Work) -> bool:
    """Whether works of one model are of one size and number of steps."""
    return (work.size, work.num_steps) == (other.size, other.num_steps)


def _nearest(work: Work, runs: Iterable[PastRun]) -> PastRun:
    """The run whose amount of work is the nearest, by its ratio; rather one of this size; of several the first."""
    return min(runs, key=lambda run: (run.work.size != work.size, abs(math.log(_ratio(work, run.work)))))


def _ratio(work: Work, other: Work) -> float:
    """How many times as much as another a work is; 0 where that is not known."""
    amount, base = work.amount, other.amount
    return amount / base if amount and base else 0.0


def _typical(runs: Sequence[PastRun], *, is_first: bool, part: Callable[[PastRun], float]) -> float:
    """The median of a part of runs, of the first in their processes, or of the others, where there are such."""
    alike = [run for run in runs if run.is_first is is_first]
    return median(map(part, (alike or runs)[:_MAX_RUNS]))


def _typical_of(runs: Sequence[PastRun], part: Callable[[PastRun], float]) -> float:
    """The median of a part of those first runs that had it; 0 where none had."""
    found = [run for run in runs if run.is_first is not False and part(run) > 0]
    return median(map(part, found[:_MAX_RUNS])) if found else 0.0


def _say_source(work: Work, equal: Sequence[PastRun], nearest: PastRun) -> str:
    if equal:
        return f"{len(equal)} equal run{'' if len(equal) == 1 else 's'}"
    return f"scaled by {work.unit} from {nearest.artifact.title}"
