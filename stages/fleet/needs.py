"""What an actor takes of a host: by the declaration of its program, and by what the hosts of the cluster have."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final

from stages.fleet.status import Host
from stages.machine.binary_units import show_gib
from stages.machine.host_group import ONE_HOST
from stages.models.checkpoint import Checkpoint, component_folder, find_missing_bytes
from stages.pipeline.component import Component
from stages.pipeline.stage import ACCELERATOR
from stages.run.job import Job

_TPU, _GPU = "TPU", "GPU"  # resources as Ray names them
CHIPS: Final = (_TPU, _GPU)
# Labels that Ray gives to hosts with TPUs: the name of their slice, its shape in chips, and which of its hosts this is.
SLICE, TOPOLOGY, RANK = "ray.io/tpu-slice-name", "ray.io/tpu-topology", "ray.io/tpu-worker-id"
_SHAPE: Final = re.compile(r"[1-9]\d*(x[1-9]\d*)+")  # such as 4x4
_PLATFORMS: Final[Mapping[str, tuple[str, ...]]] = {"auto": CHIPS, "tpu": (_TPU,), "gpu": (_GPU,), "cpu": ()}


@dataclass(frozen=True)
class Needs:
    """What an actor takes of a host for as long as it lives.

    Attributes:
        cpus: processors. They are counted, not enforced: a stage uses what its host has.
        memory_bytes: of the host; 0 where it is not counted.
        chips: accelerators, by their kind: all that a host has.
        num_hosts: where it is more than one, it takes that of each host of a slice, with an actor on each.
        topology: of that slice.
    """

    cpus: int = 1
    memory_bytes: int = 0
    chips: Mapping[str, int] = field(default_factory=dict)
    num_hosts: int = 1
    topology: str = ""

    @property
    def bundle(self) -> dict[str, float]:
        """The same, of each host, as Ray reserves it in a placement group."""
        memory = {"memory": float(self.memory_bytes)} if self.memory_bytes else {}
        return {"CPU": float(self.cpus), **memory, **{kind: float(number) for kind, number in self.chips.items()}}

    @property
    def options(self) -> dict[str, object]:
        """The same as options of a Ray actor."""
        options: dict[str, object] = {"num_cpus": self.cpus, "num_gpus": self.chips.get(_GPU, 0)}
        if self.memory_bytes:
            options["memory"] = self.memory_bytes
        if _TPU in self.chips:
            options["resources"] = {_TPU: self.chips[_TPU]}
        return options

    def __str__(self) -> str:
        chips = [f"{number} {kind}" for kind, number in self.chips.items()]
        memory = [f"{show_gib(self.memory_bytes)} of memory"] if self.memory_bytes else []
        each = ", ".join([f"{self.cpus} CPU", *memory, *chips])
        return f"a host with {each}" if self.num_hosts == 1 else f"a slice of {self.num_hosts} hosts, each with {each}"


def find_needs(job: Job, hosts: Iterable[Host]) -> Needs:
    """What an actor takes that does such jobs.

    A program of an accelerator takes all chips of a host, so that hosts with fewer of them are of use, too: as many as
    the smallest has. One that joins hosts takes a slice of several, the smallest, where the cluster has any, and not
    `hosts = "one"`. Where no host has chips, it computes on processors.

    Args:
        job: the first one that it is to do.
        hosts: of the cluster.
    Raises:
        CheckpointError: the hub does not say how large the weights are.
    """
    program = job.program
    memory_bytes = _size_of_weights(job.checkpoint, job.components) if program.has_weights_on_host else 0
    kinds = _PLATFORMS[job.machine.get("platform", "auto")] if program.device == ACCELERATOR else ()
    known = [*hosts]
    if program.joins_hosts and _TPU in kinds and job.machine.get("hosts") != ONE_HOST:
        slices = [host for host in known if _count_hosts(host) > 1]
        if slices:
            host = min(slices, key=_count_hosts)
            chips = {_TPU: int(host.resources[_TPU])}
            return Needs(program.cpus, memory_bytes, chips, _count_hosts(host), host.labels[TOPOLOGY])
    for kind in kinds:
        if numbers := [int(host.resources[kind]) for host in known if host.resources.get(kind, 0) >= 1]:
            return Needs(program.cpus, memory_bytes, {kind: min(numbers)})
    is_named = len(kinds) == 1  # a cluster that grows may have hosts with such chips later
    return Needs(program.cpus, memory_bytes, {kinds[0]: 1} if is_named else {})


def _count_hosts(host: Host) -> int:
    """Of the slice that a host belongs to: by the shape of the slice, also while some are not there. 1 without one."""
    num_own, shape = int(host.resources.get(_TPU, 0)), host.labels.get(TOPOLOGY, "")
    if num_own == 0 or SLICE not in host.labels or not _SHAPE.fullmatch(shape):
        return 1
    return max(1, prod(map(int, shape.split("x"))) // num_own)


def _size_of_weights(checkpoint: Checkpoint, components: Iterable[Component]) -> int:
    """Bytes of all files of components, here and still to be downloaded."""
    chosen = [*components]
    folders = {component_folder(checkpoint, component.name) for component in chosen}
    here = sum(path.stat().st_size for folder in folders if folder.is_dir() for path in folder.iterdir())
    return here + sum(find_missing_bytes(checkpoint, chosen).values())
