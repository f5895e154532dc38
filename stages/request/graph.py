"""From parameters to nodes: which stages of which videos there are, and who shares what.

Knows nothing of what has been made already (store.py) or of how it is made (worker.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.errors import ParamsError
from stages.keys import FROM_FILE, JsonValue, Key, Node, digest_file
from stages.models.checkpoint import Checkpoint, component_identity, resolve
from stages.pipeline.contract import CONTRACTS, STAGES
from stages.pipeline.programs import program_of
from stages.request.params import Params, VideoParams
from stages.store.stat_cache import StatCache


@dataclass(frozen=True)
class Graph:
    """The nodes of all videos.

    Attributes:
        videos: per video, its node of each stage; none of a stage whose result a file makes needless.
        checkpoints: per video, its model.
        files: of each node that is made from a file, the file (any of those that are alike).
    """

    videos: Mapping[str, Mapping[str, Node]]
    checkpoints: Mapping[str, Checkpoint]
    files: Mapping[Key, Path]

    def nodes(self, stage: str) -> Mapping[Key, Node]:
        """The different nodes of a stage; videos that agree in all that matters share one.

        Those that need the same program with the same model stand together, so that each is loaded once.
        """
        kinds: dict[tuple[JsonValue, ...], dict[Key, Node]] = {}  # in the order in which they are met
        for nodes in self.videos.values():
            if stage in nodes:
                kinds.setdefault(_kind(nodes[stage]), {})[nodes[stage].key] = nodes[stage]
        return {key: node for kind in kinds.values() for key, node in kind.items()}

    def videos_of(self, node: Node) -> tuple[str, ...]:
        """Names of the videos that a node is part of."""
        stage = node.stage
        return tuple(name for name, nodes in self.videos.items() if stage in nodes and nodes[stage].key == node.key)

    def checkpoint_of(self, node: Node) -> Checkpoint:
        """The model that a node uses (any of those that are alike to it)."""
        return self.checkpoints[self.videos_of(node)[0]]


def _kind(node: Node) -> tuple[JsonValue, ...]:
    """What a process has to load for a node."""
    components = [f"{name} {identity}" for name, identity in sorted(node.components.items())]
    return (program_of(node), node.parameters.get("decoder"), node.parameters.get("dtype"), *components)


def build_graph(params: Params, root: Path, cache: StatCache) -> Graph:
    """Nodes of all videos.

    Raises:
        CheckpointError: a checkpoint or one of its components is missing.
        ParamsError: a file from elsewhere cannot be read.
    """
    checkpoints = {
        name: resolve(video.model.checkpoint, video.model.revision, root) for name, video in params.videos.items()
    }
    videos = {name: _chain(video, checkpoints[name], cache) for name, video in params.videos.items()}
    files = {
        node.key: file
        for name, nodes in videos.items()
        for stage, node in nodes.items()
        if (file := params.videos[name].file_of_stage(stage))
    }
    return Graph(videos=videos, checkpoints=checkpoints, files=files)


def _chain(video: VideoParams, checkpoint: Checkpoint, cache: StatCache) -> Mapping[str, Node]:
    nodes: dict[str, Node] = {}
    for stage in _needed_stages(video):
        contract, file = CONTRACTS[stage], video.file_of_stage(stage)
        if file:
            nodes[stage] = Node(stage, {FROM_FILE: _content_digest(stage, file, cache)}, components={}, inputs={})
        else:
            nodes[stage] = Node(
                stage=stage,
                parameters=video.of_stage(stage),
                components={name: component_identity(checkpoint, name, cache) for name in contract.components},
                inputs={name: nodes[name].key for name in contract.inputs},
            )
    return nodes


def _needed_stages(video: VideoParams) -> list[str]:
    """The stages that the last one is made of, in their order; a file from elsewhere is made of none."""
    needed = {STAGES[-1]}
    for stage in reversed(STAGES):
        if stage in needed and video.file_of_stage(stage) is None:
            needed |= set(CONTRACTS[stage].inputs)
    return [stage for stage in STAGES if stage in needed]


def _content_digest(stage: str, file: Path, cache: StatCache) -> str:
    """XXH3-128 of a file's bytes, which are read once per change (see stat_cache.py)."""
    try:
        return str(cache.get("xxh3", file, digest_file))
    except OSError as error:
        raise ParamsError(
            f"{stage}.{FROM_FILE}: {file} cannot be read ({error.strerror}). Mend that, or name another file."
        ) from error
