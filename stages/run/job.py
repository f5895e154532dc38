"""One job of a stage's process: what it consists of, what is reported, and how the result is published."""

import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from stages.errors import CheckpointError, ContractError, StoreError
from stages.keys import ArtifactId, Digest, JsonValue, Node
from stages.machine.versions import versions_of
from stages.models.checkpoint import (
    Checkpoint,
    component_folder,
    component_identity,
    describe_place,
    fetch_components,
)
from stages.models.pipeline_class import explain_missing_index
from stages.pipeline.component import Component
from stages.pipeline.contract import Contract, check_shapes
from stages.pipeline.stage import Program
from stages.store.artifacts import Store
from stages.store.partial import PartialStates
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.tensors.header import NOT_WHOLE, read_header

# Events that worker.py keeps to itself: the process has taken the job; it is about to join those of other hosts.
ACCEPTED, JOINING = "accepted", "joining"
_VERSIONS_OF = ("av", "diffusers", "flax", "jax", "jaxlib", "numpy", "torch", "torchax", "transformers")
_COMPILERS = ("libtpu",)  # which JAX loads, and which has no module
_MIB = 2**20
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of `ru_maxrss`


@dataclass(frozen=True)
class Job:
    """All that a stage's process needs to make a node.

    Attributes:
        node: what to make.
        parameters: those by which it is made: of the node's key, and those that the key leaves out as neutral.
        program: what makes it.
        makes: what the artifact must hold.
        inputs: of each kind of artifact that is read, by the name of its contract, which one it is.
        rank: place of the node's stage among all; where several jobs wait for a device, the lowest goes first.
        components: of the checkpoint, those that the node is made from.
        checkpoint: where the model is.
        store: root folder of the artifact store.
        code: fingerprint of the stage's code, for the manifest.
        machine: the machine's settings (see params.MachineParams).
        from_file: the file that holds the result already, for a node that is made from one.
        preflight: the command that says what the programs of its videos need; "" where there is none.
        number: of the job among those of its process, from 1; the process counts (program.py).
    """

    node: Node
    parameters: Mapping[str, JsonValue]
    program: Program
    makes: Contract
    inputs: Mapping[str, ArtifactId]
    rank: int
    components: tuple[Component, ...]
    checkpoint: Checkpoint
    store: Path
    code: Digest
    machine: Mapping[str, str]
    from_file: Path | None = None
    preflight: str = ""
    number: int = 1

    def to_json(self) -> str:
        """The job as one line."""
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def from_json(line: str) -> "Job":
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(line)
        from_file = fields["from_file"]
        return Job(
            node=Node(**fields["node"]),
            parameters=fields["parameters"],
            program=Program(**fields["program"]),
            makes=Contract.from_fields(fields["makes"]),
            inputs={name: ArtifactId(**artifact) for name, artifact in fields["inputs"].items()},
            rank=fields["rank"],
            components=tuple(map(Component.from_fields, fields["components"])),
            checkpoint=Checkpoint.from_fields(fields["checkpoint"]),
            store=Path(fields["store"]),
            code=Digest(fields["code"]),
            machine=fields["machine"],
            from_file=None if from_file is None else Path(from_file),
            preflight=fields["preflight"],
        )

    def input(self, contract: Contract) -> Path:
        """Payload of an artifact that the stage reads; `perform` has compared it with its manifest."""
        return Store(self.store).payload(self.inputs[contract.name])


class Report:
    """What a running stage reports: how far it is, warnings, how long each phase took, and how it is interrupted.

    Attributes:
        wall_s: seconds of each phase, of all the times that it was entered.
        steady_s: seconds per unit of each phase that reports its progress: the median, without the first unit.
    """

    def __init__(self, send: Callable[[Mapping[str, JsonValue]], None]) -> None:
        """`send` passes one event on."""
        self._send = send
        self._ends: dict[str, list[tuple[int, float]]] = {}  # of the present phase, by unit: how many were done when
        self._save: Callable[[], None] | None = None
        self._interrupting = threading.Lock()
        self.wall_s: dict[str, float] = {}
        self.steady_s: dict[str, JsonValue] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of the work; its name is shown until the next one starts."""
        self._send({"event": "phase", "name": name})
        entered = time.perf_counter()
        self._ends = {}
        yield
        self.wall_s[name] = round(self.wall_s.get(name, 0) + time.perf_counter() - entered, 3)
        for unit, ends in self._ends.items():
            paces = [
                (end - start) / (done - before) for (before, start), (done, end) in pairwise(ends) if done > before
            ]
            if paces:
                self.steady_s[unit] = round(median(paces), 4)

    def progress(self, done: int, total: int, unit: str) -> None:
        """`done` of `total` units (such as "step") of the present phase are finished."""
        self._ends.setdefault(unit, []).append((done, time.perf_counter()))
        self._send({"event": "progress", "done": done, "total": total, "unit": unit})

    def progress_bytes(self, done_bytes: int, total_bytes: int) -> None:
        """`progress` in MiB."""
        self.progress(-(-done_bytes // _MIB), -(-total_bytes // _MIB), "MiB")

    def joining_hosts(self) -> None:
        """From now on the process depends on those of other hosts: it waits for them, and ends when one ends."""
        self._send({"event": JOINING})

    def warn(self, message: str) -> None:
        """Something that the user should know, though it stops nothing."""
        self._send({"event": "warning", "message": message})

    def note(self, message: str) -> None:
        """Something that is as it should be, and that the user may want to know."""
        self._send({"event": "note", "message": message})

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


# Makes the payload of a job in the draft folder; returns what run.json shall say besides times and versions.
Run: TypeAlias = Callable[[Job, Path, Report], Mapping[str, JsonValue]]


def perform(job: Job, run: Run, report: Report) -> Mapping[str, JsonValue]:
    """Do a job and publish what it has made.

    Returns:
        The event that ends it: `is_same_as_before` (None, when there was nothing before) and `wall_s`, seconds.
    Raises:
        StagesError: it cannot be done; nothing half-made is kept.
    """
    store, start = Store(job.store), time.perf_counter()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with store.draft() as draft:
            inputs = store.check_inputs(job.node)
            check_components(job)
            _prepare_checkpoint(job, report)
            try:
                details = run(job, draft, report)
                check_components(job)
                _check_payload(job, draft)
                facts = _facts(job, started, report) | dict(details)
                with report.completing():
                    published = store.publish(
                        job.node, draft, payload=job.makes.payload, inputs=inputs, code=job.code, run=facts
                    )
                    with suppress(OSError):  # gc deletes it
                        PartialStates(job.store).remove(job.node.artifact)
            except BaseException:
                report.interrupt()
                raise
    except OSError as error:
        if error.errno is None:
            raise  # no error of the system: a library's, which has a text of its own
        where = error.filename or store.root
        raise StoreError(
            f"{where}: {error.strerror}. Fix that and run it again; nothing half-made was kept."
        ) from error
    wall_s = round(time.perf_counter() - start, 3)
    return {"event": "result", "is_same_as_before": published.is_same_as_before, "wall_s": wall_s}


def check_components(job: Job) -> None:
    """Compare the parts of the checkpoint that the node is made from with what its key says, by their files' stamps.

    Raises:
        CheckpointError: a file has been changed since doit looked at it.
    """
    cache = StatCache(job.store / STAT_CACHE)
    for component in job.components:
        if component_identity(job.checkpoint, component, cache) != job.node.components[component.name]:
            raise CheckpointError(
                f"{component_folder(job.checkpoint, component.name)}: was changed while it was in use. Run `doit` "
                "again: it makes what the files are now."
            )


def _prepare_checkpoint(job: Job, report: Report) -> None:
    """Download what is missing of the components, and say what nobody knows of the checkpoint."""
    is_shown = False
    with ExitStack() as stack:

        def show(done_bytes: int, total_bytes: int) -> None:
            nonlocal is_shown
            if not is_shown:
                stack.enter_context(report.phase("download"))
            is_shown = True
            report.progress_bytes(done_bytes, total_bytes)

        fetch_components(job.checkpoint, job.components, show)
    is_first = bool(job.components) and job.number == 1
    if is_first and not job.checkpoint.repo and (message := explain_missing_index(job.checkpoint.folder)):
        report.warn(message)


def _check_payload(job: Job, draft: Path) -> None:
    """Compare what a stage has made with its contract, from the header of the file alone.

    Raises:
        ContractError: it is not there; a tensor is missing, spare, misshapen or of a wrong dtype; or it is not whole.
    """
    contract = job.makes
    where = f"{job.node.title}, {contract.payload}"
    if not (draft / contract.payload).is_file():
        raise ContractError(
            f"{where}: {job.program.name} has not written it. Its `run` must write this file into the folder that it "
            "is given."
        )
    if not contract.tensors:
        return
    try:
        entries = read_header(draft / contract.payload)
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
        dtypes = {name: entry["dtype"] for name, entry in entries.items()}
    except NOT_WHOLE as error:
        raise ContractError(f"{where}: {job.node.stage} has not written a whole safetensors file ({error}).") from error
    check_shapes(contract, shapes, where=where, dtypes=dtypes)


def _facts(job: Job, started: str, report: Report) -> dict[str, JsonValue]:
    """What run.json says of every job.

    `peak_memory_bytes` is the most that the process has had since it started, also in jobs before this one.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = {name: sys.modules[name].__version__ for name in _VERSIONS_OF if name in sys.modules}
    compilers = versions_of(_COMPILERS) if "jax" in sys.modules else {}
    return {
        "started": started,
        "host": socket.gethostname(),
        "machine": dict(job.machine),
        "components": {each.name: describe_place(job.checkpoint, each.name) for each in job.components},
        "peak_memory_bytes": peak * PEAK_UNIT,
        "versions": loaded | {name: version for name, version in compilers.items() if version},
        "wall_s": dict[str, JsonValue](report.wall_s),
        "steady_s": dict(report.steady_s),
    }
