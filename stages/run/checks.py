"""What is looked at before a run's first node, so that nothing is paid for that cannot end.

A program's package can have a module `checks`, beside the edge that does the work: its `find_faults` says what would
keep a node from being made, from the settings of its components, which are fetched where the hub has them, and from
the headers of their weights; its `size_bytes`, if there is one, how large the payload will be (room.py). It loads
nothing heavy.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias

from stages.errors import CheckpointError, StagesError
from stages.geometry import VideoSize
from stages.keys import JsonValue, Node
from stages.models.checkpoint import (
    Checkpoint,
    find_local_files,
    find_missing_bytes,
    index_folder,
    read_component_settings,
    require_components,
)
from stages.models.outcomes import remember_outcomes
from stages.models.pipeline_class import explain_class
from stages.models.remote_headers import count_listed_bytes, read_remote_headers
from stages.models.settings import Settings
from stages.models.weight_headers import WeightHeaders, read_headers
from stages.pipeline.component import Component
from stages.pipeline.denoise import TRANSFORMER
from stages.pipeline.stages import Pipeline
from stages.request.graph import Graph, name_videos

_MODULE = "checks"  # of a program's package


class Reader:
    """Reads files of checkpoints, and asks the hub, once for all videos of a run that have them in common."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.settings = remember_outcomes(read_component_settings)
        self.headers = remember_outcomes(_read_local_headers)
        self.count_listed_bytes = remember_outcomes(count_listed_bytes)
        self.remote_headers = remember_outcomes(read_remote_headers)
        self.require = remember_outcomes(require_components)
        self.missing_bytes = remember_outcomes(find_missing_bytes)


def _read_local_headers(checkpoint: Checkpoint, component: Component) -> WeightHeaders | None:
    files = find_local_files(checkpoint, component)
    return None if files is None else read_headers(files)


@dataclass(frozen=True)
class Chain:
    """A video as its checks see it.

    Attributes:
        nodes: of each stage that it needs, in their order.
        checkpoint: its model.
        machine: the machine's settings (see request/tables.py).
        reader: reads what several videos have in common.
    """

    nodes: Mapping[str, Node]
    checkpoint: Checkpoint
    machine: Mapping[str, JsonValue]
    reader: Reader = field(default_factory=Reader, repr=False)

    def settings(self, component: Component) -> Settings:
        """Those of a component; of a hub id, their file is downloaded if it is missing. Raises CheckpointError."""
        return self.reader.settings(self.checkpoint, component)

    def headers(self, component: Component) -> WeightHeaders | None:
        """Those of a component's weight files; None while they are not downloaded. Raises CheckpointError."""
        return self.reader.headers(self.checkpoint, component)

    def count_listed_bytes(self, component: Component) -> int:
        """Bytes of a component's weight files, as the hub lists them. Raises CheckpointError."""
        return self.reader.count_listed_bytes(self.checkpoint, component)

    def remote_headers(self, component: Component) -> WeightHeaders | None:
        """Those of weight files on the hub, of which nothing else is fetched. Raises CheckpointError."""
        return self.reader.remote_headers(self.checkpoint, component)

    def makes(self, stage: str) -> bool:
        """Whether a stage computes its result, so that no file from elsewhere takes its place."""
        return stage in self.nodes and bool(self.nodes[stage].components)

    @property
    def video_size(self) -> VideoSize | None:
        """Size of the video, where a node says it: latents of a file from elsewhere have a size of their own."""
        for node in self.nodes.values():
            match node.parameters:
                case {"num_frames": int(num_frames), "height": int(height), "width": int(width)}:
                    return VideoSize(num_frames, height, width)
        return None


# Of a node with these parameters, in a chain: a message for each thing that keeps it from being made.
FindFaults: TypeAlias = Callable[[Chain, Mapping[str, Any]], list[str]]
# Of such a node, how many bytes its payload has; None where only the stage knows.
SizeBytes: TypeAlias = Callable[[Chain, Mapping[str, Any]], int | None]


def check_videos(
    graph: Graph, machine: Mapping[str, JsonValue], first: Mapping[str, str], reader: Reader
) -> dict[str, StagesError]:
    """What keeps videos from being made, by their names: an error that says all of it. Others have none.

    Args:
        graph: of the run.
        machine: the machine's settings.
        first: of each video to be checked, the stage of the first node that would be made; those before it are there.
        reader: reads what the videos have in common.
    """
    faults: dict[str, StagesError] = {}
    for name, stage in first.items():
        chain = Chain(graph.videos[name], graph.checkpoints[name], machine, reader)
        if found := find_faults(chain, graph.pipeline, stage):
            faults[name] = CheckpointError("\n  ".join(found))
    return name_videos(faults)


def find_faults(chain: Chain, pipeline: Pipeline, first: str) -> list[str]:
    """What keeps the nodes of a video from being made, each thing once.

    Args:
        chain: the video.
        pipeline: the project's stages.
        first: the stage of the first node that would be made; those before it are there.
    """
    names = list(chain.nodes)
    due = [chain.nodes[name] for name in names[names.index(first) :]]
    components = tuple(each for node in due if node.components for each in pipeline[node.stage].components)
    faults = collect(lambda: chain.reader.require(chain.checkpoint, components))
    faults = faults or list(_find_faults_of_pipeline(chain, components))
    if not faults:
        faults = [fault for node in due for fault in _find_faults_of_node(chain, pipeline, node)]
    return list(dict.fromkeys(faults))


def collect(*steps: Callable[[], object]) -> list[str]:
    """The messages of those steps that raise a StagesError."""
    faults = []
    for step in steps:
        try:
            step()
        except StagesError as error:
            faults.append(str(error))
    return faults


def _find_faults_of_pipeline(chain: Chain, components: Collection[Component]) -> Iterator[str]:
    """What the transformer was made for; other components are the same in checkpoints of other tasks."""
    if TRANSFORMER in components and (fault := explain_class(index_folder(chain.checkpoint, TRANSFORMER.name))):
        yield fault


def _find_faults_of_node(chain: Chain, pipeline: Pipeline, node: Node) -> list[str]:
    stage = pipeline[node.stage]
    if missing := stage.find_missing(node.parameters):
        return [missing]
    find: FindFaults | None = getattr(_load_checks(stage.program_of(node.parameters).package), "find_faults", None)
    try:
        return [] if find is None else find(chain, stage.complete(node.parameters))
    except StagesError as error:
        return [str(error)]


def payload_bytes(chain: Chain, pipeline: Pipeline, node: Node) -> int:
    """How many bytes a node's payload has; 0 where that is not known before it is made."""
    stage = pipeline[node.stage]
    size: SizeBytes | None = getattr(_load_checks(stage.program_of(node.parameters).package), "size_bytes", None)
    found = None if size is None else size(chain, stage.complete(node.parameters))
    return found or 0


@functools.cache  # asked for each node
def _load_checks(package: str) -> ModuleType | None:
    """The checks of a program, or None where it has none."""
    module = f"{package}.{_MODULE}"
    return import_module(module) if find_spec(module) else None
