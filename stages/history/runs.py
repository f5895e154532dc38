"""The runs of a store: what its run.json files say that making each artifact took, on which machine.

Anybody may have written these files: what is no number, or no such file, says nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from stages.geometry import LatentSize, VideoSize, video_size
from stages.history.work import Work, describe_work, size_in
from stages.keys import FROM_FILE, ArtifactId
from stages.machine.json_files import read_json
from stages.pipeline.contracts import LATENTS
from stages.pipeline.stages import Pipeline
from stages.store.inventory import Inventory
from stages.store.usage import run_file
from stages.tensors.header import read_header

_DOWNLOAD, _LOAD, _COMPILE = "download", "load", "compile"  # phases of a job
_JOIN = "join"  # of several hosts, which a process does once, as it loads
_BYTES = "MiB"  # a unit of progress that is no unit of work
_MAX_S = 1e12  # as in usage.py: a file that says more says nothing
_CPU = "cpu"  # a device that is no accelerator

Facts: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a run was.

    Attributes:
        host: its name.
        device: kind of the devices that computed, such as "cpu" or "TPU v6 lite".
        num_devices: how many; 1 for a host's processors.
        settings: the machine's settings that choose devices: platform, mesh, hosts.
    """

    host: str
    device: str
    num_devices: int
    settings: tuple[str, ...]

    @property
    def num_chips(self) -> int:
        """Accelerators that were in use."""
        return 0 if self.device == _CPU else self.num_devices


@dataclass(frozen=True)
class PastRun:
    """One artifact's run. Seconds are None where its run.json does not say them.

    Attributes:
        artifact: what it made.
        work: what was computed.
        place: where.
        is_first: whether it was its process's first job; None where that is not known.
        was_compiled: whether a program was compiled, and not loaded or there already.
        start_s: to start the process, of a first one.
        load_s: to load the model.
        compile_s: to have its programs: traced, and then compiled, loaded, or at hand.
        getting_s: the part of that in which they were compiled or loaded.
        rest_s: of all else, downloads left out.
        step_s: per unit of its longest phase, after the first.
        peak_memory_bytes: of the process, since its start.
        programs: names of the compiled programs that it had to get.
        size_bytes: of the payload.
        started: when, in ISO 8601.
        number: of the job in its process, from 1.
        gap_s: from then until the process's next job began: to publish, and for doit to come with that job. None where
            there was none.
    """

    artifact: ArtifactId
    work: Work
    place: Place
    is_first: bool | None
    was_compiled: bool
    start_s: float
    load_s: float
    compile_s: float
    getting_s: float
    rest_s: float
    step_s: float | None
    peak_memory_bytes: int | None
    programs: tuple[str, ...]
    size_bytes: int
    started: str
    number: int | None = None
    gap_s: float | None = None

    @property
    def total_s(self) -> float:
        """All of it: what it would take to have it again in the same way."""
        return self.start_s + self.load_s + self.compile_s + self.rest_s


def read_runs(root: Path, inventory: Inventory, pipeline: Pipeline) -> list[PastRun]:
    """The runs of the artifacts in a store's root, collected ones too, as far as their run.json files are whole.

    Left out are those of stages that the project has no more, and denoises that were interrupted and went on.
    """
    return [*_measure_gaps(_find_runs(root, inventory, pipeline))]


def _find_runs(root: Path, inventory: Inventory, pipeline: Pipeline) -> Iterator[PastRun]:
    for artifact, entry in inventory.entries.items():
        if entry.manifest is None or artifact.stage not in pipeline.names:
            continue
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # this project has not written it so
            facts = read_json(run_file(root / artifact.stage / artifact.key))
            if facts.get("resumed_after_step", 0):
                continue  # a part of it was done on another day, perhaps elsewhere
            work = describe_work(entry.manifest.node, pipeline, size_of_artifact(root, inventory, artifact))
            yield _read(artifact, work, facts, entry.manifest.size_bytes)


def _measure_gaps(runs: Iterable[PastRun]) -> Iterator[PastRun]:
    """The same, with `gap_s` of those after which the same process, as far as one can tell, had another job."""
    in_turn: dict[tuple[object, ...], list[PastRun]] = {}
    for run in runs:
        in_turn.setdefault((run.artifact.stage, run.work.kind["program"], run.place), []).append(run)
    for alike in in_turn.values():
        alike.sort(key=lambda run: run.started)
        for run, following in zip(alike, [*alike[1:], None], strict=True):
            if following is None or run.number is None or following.number != run.number + 1 or not run.started:
                yield run
                continue
            gap_s = _moment(following) - _moment(run) - (run.total_s - run.start_s)
            yield replace(run, gap_s=max(gap_s, 0.0))


def _moment(run: PastRun) -> float:
    """When it began, in seconds since 1970."""
    return datetime.fromisoformat(run.started).timestamp()


def size_of_artifact(root: Path, inventory: Inventory, artifact: ArtifactId) -> VideoSize | None:
    """The size of the video that an artifact is part of: by the parameters before it, or its latents from elsewhere."""
    for each in inventory.ancestors([artifact]):
        entry = inventory.entries.get(each)
        if entry is None or entry.manifest is None:
            continue
        if size := size_in(entry.manifest.parameters):
            return size
        if FROM_FILE in entry.manifest.parameters and entry.manifest.payload == LATENTS.payload:
            return size_of_latents(root / each.stage / each.key / LATENTS.payload)
    return None


def size_of_latents(file: Path) -> VideoSize | None:
    """The size of the video that a file of latents decodes to; None of what is no such file."""
    try:
        shape = read_header(file)["latents"]["shape"]
        return video_size(LatentSize(*shape[2:]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(artifact: ArtifactId, work: Work, facts: Facts, size_bytes: int) -> PastRun:
    """Raises KeyError, TypeError, ValueError or AttributeError: the facts are not what every run.json has."""
    phases = {str(name): _seconds(value) for name, value in facts["wall_s"].items()}
    before_s = sum(phases.get(name, 0.0) for name in (_DOWNLOAD, _LOAD, _JOIN, _COMPILE))
    number = facts.get("number_in_process")
    compile_s = phases.get(_COMPILE, 0.0)
    has_compiled = "compile_s" in facts and not facts["was_loaded"]
    steps = [_seconds(value) for unit, value in facts.get("steady_s", {}).items() if unit != _BYTES]
    peak = facts.get("peak_memory_bytes")
    return PastRun(
        artifact=artifact,
        work=work,
        place=_read_place(facts),
        is_first=None if number is None else number == 1,
        was_compiled=has_compiled,
        start_s=_seconds(facts.get("start_s", 0.0)),
        load_s=phases.get(_LOAD, 0.0) + phases.get(_JOIN, 0.0),
        compile_s=compile_s,
        getting_s=min(_seconds(facts.get("compile_s", 0.0)), compile_s),
        rest_s=max(_seconds(facts.get("job_s", sum(phases.values()))) - before_s, 0.0),
        step_s=max(steps, default=None),
        peak_memory_bytes=peak if isinstance(peak, int) else None,
        programs=tuple(map(str, facts.get("programs", ()))),
        size_bytes=size_bytes,
        started=_read_time(facts),
        number=number if isinstance(number, int) else None,
    )


def _read_time(facts: Facts) -> str:
    """When a run began, "" where that is not said. Raises ValueError: it is no time."""
    text = str(facts.get("started", ""))
    if text and datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it is a time of an unknown time zone")
    return text


def _read_place(facts: Facts) -> Place:
    mesh = facts.get("mesh") or {"devices": facts.get("num_devices", 1)}
    num_devices = 1
    for size in mesh.values():
        num_devices *= int(size)
    return Place(str(facts["host"]), str(facts["device"]), num_devices, settings_of(facts["machine"]))


def settings_of(machine: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the machine's settings, those that choose devices."""
    return tuple(str(machine.get(name, "")) for name in ("platform", "mesh", "hosts"))


def _seconds(value: object) -> float:
    """Raises ValueError: it is no time."""
    if type(value) not in (int, float) or not 0 <= value <= _MAX_S:  # type: ignore[operator] # JSON's true is not 1
        raise ValueError("it is no number of seconds")
    return float(value)  # type: ignore[arg-type]
