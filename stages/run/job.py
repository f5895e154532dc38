"""One job of a stage's process: what it consists of, and how the result is published."""

import json
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from stages.errors import CheckpointError, ContractError, StoreError
from stages.keys import ArtifactId, Digest, JsonValue, Node, short
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
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.store.inputs import hold_inputs
from stages.store.partial import PartialStates
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.tensors.header import read_header

_VERSIONS_OF = ("av", "diffusers", "flax", "jax", "jaxlib", "numpy", "torch", "torchax", "transformers")
_COMPILERS = ("libtpu",)  # which JAX loads, and which has no module
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
        machine: the machine's settings (see request/tables.py).
        from_file: the file that holds the result already, for a node that is made from one.
        preflight: the command that says what the programs of its videos need; "" where there is none.
        videos: names of those that need the node.
        number: of the job among those of its process, from 1; the process counts (program.py).
        start_s: seconds that the process took to start, where this is its first job; the process says so.
        sources: digest of each module of the stage's code; the process says what it has imported.
        waits: whether to wait for an accelerator that another process has, in place of an error.
        held: in the middle of a job, where the payloads that it reads are open, by the stage that made them.
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
    videos: tuple[str, ...] = ()
    number: int = 1
    start_s: float = 0.0
    sources: Mapping[str, Digest] = field(default_factory=dict)
    waits: bool = True
    held: Mapping[str, Path] = field(default_factory=dict)

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
            videos=tuple(fields["videos"]),
            waits=fields["waits"],
        )

    def input(self, contract: Contract) -> Path:
        """Payload of an artifact that the stage reads: the file that `perform` has compared with its manifest."""
        artifact = self.inputs[contract.name]
        return self.held.get(artifact.stage) or Store(self.store).payload(artifact)

    def name_input(self, contract: Contract) -> str:
        """What messages call that file: where it is in the store, though perhaps it is gone by now."""
        artifact = self.inputs[contract.name]
        return str(Store(self.store).folder(artifact) / contract.payload)


# Makes the payload of a job in the draft folder; returns what run.json shall say besides times and versions.
Run: TypeAlias = Callable[[Job, Path, Report], Mapping[str, JsonValue]]


def perform(job: Job, run: Run, report: Report) -> Mapping[str, JsonValue]:
    """Do a job and publish what it has made.

    Returns:
        The event that ends it: `is_same_as_before` and `was_damaged` (see Published of artifacts.py), and `wall_s`,
        seconds.
    Raises:
        StagesError: it cannot be done; nothing half-made is kept.
    """
    store, start = Store(job.store), time.perf_counter()
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    with _as_store_error(store.root), store.draft(job.node) as draft, hold_inputs(store, job.node) as held:
        job = replace(job, held={artifact.stage: each.path for artifact, each in held.items()})
        inputs = {artifact: each.digest for artifact, each in held.items()}
        check_components(job)
        _prepare_checkpoint(job, report)
        try:
            details = run(job, draft, report)
            check_components(job)
            _check_payload(job, draft)
            facts = _facts(job, started, report, job_s=time.perf_counter() - start) | dict(details)
            with report.completing():
                published = store.publish(
                    job.node, draft, payload=job.makes.payload, inputs=inputs, code=job.code, run=facts
                )
                with suppress(OSError):  # gc deletes it
                    PartialStates(job.store).remove(job.node.artifact)
        except BaseException:
            report.interrupt()
            raise
    wall_s = round(time.perf_counter() - start, 3)
    return {
        "event": "result",
        "is_same_as_before": published.is_same_as_before,
        "was_damaged": published.was_damaged,
        "wall_s": wall_s,
    }


@contextmanager
def _as_store_error(root: Path) -> Iterator[None]:
    """What the system refuses in the block is an error of the store in `root`, and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise  # no error of the system: a library's, which has a text of its own
        where = error.filename or root
        raise StoreError(f"{where}: {error.strerror}. Fix that and run it again.") from error


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
    except ValueError as error:
        raise ContractError(f"{where}: {job.node.stage} has not written a whole safetensors file ({error}).") from error
    check_shapes(contract, shapes, where=where, dtypes=dtypes)


def _facts(job: Job, started: str, report: Report, *, job_s: float) -> dict[str, JsonValue]:
    """What run.json says of every job, which took `job_s` seconds until it was to be published.

    `peak_memory_bytes` is the most that the process has had since it started, also in jobs before this one. `sources`
    are begins of digests: what they are compared with is another version of the same file.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = {name: sys.modules[name].__version__ for name in _VERSIONS_OF if name in sys.modules}
    compilers = versions_of(_COMPILERS) if "jax" in sys.modules else {}
    return {
        "started": started,
        "number_in_process": job.number,
        "start_s": round(job.start_s, 3),
        "job_s": round(job_s, 3),
        "sources": {module: short(digest) for module, digest in job.sources.items()},
        "host": socket.gethostname(),
        "machine": dict(job.machine),
        "components": {each.name: describe_place(job.checkpoint, each.name) for each in job.components},
        "peak_memory_bytes": peak * PEAK_UNIT,
        "versions": loaded | {name: version for name, version in compilers.items() if version},
        "wall_s": dict[str, JsonValue](report.wall_s),
        "steady_s": dict(report.steady_s),
    }
