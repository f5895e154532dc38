"""What an actor takes of a host: by the declaration of its program, and by what the hosts of the cluster have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stages.machine.binary_units import show_gib
from stages.models.checkpoint import Checkpoint, component_folder, find_missing_bytes
from stages.pipeline.component import Component
from stages.pipeline.stage import ACCELERATOR
from stages.run.job import Job

_TPU, _GPU = "TPU", "GPU"  # resources as Ray names them
CHIPS: Final = (_TPU, _GPU)
_PLATFORMS: Final[Mapping[str, tuple[str, ...]]] = {"auto": CHIPS, "tpu": (_TPU,), "gpu": (_GPU,), "cpu": ()}


@dataclass(frozen=True)
class Needs:
    """What an actor takes of a host for as long as it lives.

    Attributes:
        cpus: processors. They are counted, not enforced: a stage uses what its host has.
        memory_bytes: of the host; 0 where it is not counted.
        chips: accelerators, by their kind: all that a host has.
    """

    cpus: int = 1
    memory_bytes: int = 0
    chips: Mapping[str, int] = field(default_factory=dict)

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
        return ", ".join([f"{self.cpus} CPU", *memory, *chips])


def find_needs(job: Job, hosts: Iterable[Mapping[str, float]]) -> Needs:
    """What an actor takes that does such jobs.

    A program of an accelerator takes all chips of a host, so that hosts with fewer of them are of use, too: as many as
    the smallest has. Where no host has any, it computes on processors.

    Args:
        job: the first one that it is to do.
        hosts: of each host of the cluster, its resources as Ray counts them.
    Raises:
        CheckpointError: the hub does not say how large the weights are.
    """
    program = job.program
    memory_bytes = _size_of_weights(job.checkpoint, job.components) if program.has_weights_on_host else 0
    kinds = _PLATFORMS[job.machine.get("platform", "auto")] if program.device == ACCELERATOR else ()
    known = [*hosts]
    for kind in kinds:
        if numbers := [int(host[kind]) for host in known if host.get(kind, 0) >= 1]:
            return Needs(program.cpus, memory_bytes, {kind: min(numbers)})
    is_named = len(kinds) == 1  # a cluster that grows may have hosts with such chips later
    return Needs(program.cpus, memory_bytes, {kinds[0]: 1} if is_named else {})


def _size_of_weights(checkpoint: Checkpoint, components: Iterable[Component]) -> int:
    """Bytes of all files of components, here and still to be downloaded."""
    chosen = [*components]
    folders = {component_folder(checkpoint, component.name) for component in chosen}
    here = sum(path.stat().st_size for folder in folders if folder.is_dir() for path in folder.iterdir())
    return here + sum(find_missing_bytes(checkpoint, chosen).values())
