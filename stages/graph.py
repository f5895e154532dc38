"""From parameters to nodes: which stages of which videos there are, and who shares what.

Knows nothing of what has been made already (store.py) or of how it is made (worker.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.checkpoint import Checkpoint, component_identity, resolve
from stages.contracts import CONTRACTS, STAGES
from stages.keys import Key, Node
from stages.params import Params, VideoParams
from stages.stat_cache import StatCache


@dataclass(frozen=True)
class Graph:
    """The nodes of all videos.

    Attributes:
        videos: per video, its node of each stage.
        checkpoints: per video, its model.
    """

    videos: Mapping[str, Mapping[str, Node]]
    checkpoints: Mapping[str, Checkpoint]

    def nodes(self, stage: str) -> Mapping[Key, Node]:
        """The different nodes of a stage; videos that agree in all that matters share one."""
        return {nodes[stage].key: nodes[stage] for nodes in self.videos.values()}

    def videos_of(self, node: Node) -> tuple[str, ...]:
        """Names of the videos that a node is part of."""
        return tuple(name for name, nodes in self.videos.items() if nodes[node.stage].key == node.key)

    def checkpoint_of(self, node: Node) -> Checkpoint:
        """The model that a node uses (any of those that are alike to it)."""
        return self.checkpoints[self.videos_of(node)[0]]


def build_graph(params: Params, root: Path, cache: StatCache) -> Graph:
    """Nodes of all videos.

    Raises:
        CheckpointError: a checkpoint or one of its components is missing.
    """
    checkpoints = {
        name: resolve(video.model.checkpoint, video.model.revision, root) for name, video in params.videos.items()
    }
    videos = {name: _chain(video, checkpoints[name], cache) for name, video in params.videos.items()}
    return Graph(videos=videos, checkpoints=checkpoints)


def _chain(video: VideoParams, checkpoint: Checkpoint, cache: StatCache) -> Mapping[str, Node]:
    nodes: dict[str, Node] = {}
    for stage in STAGES:
        contract = CONTRACTS[stage]
        nodes[stage] = Node(
            stage=stage,
            parameters=video.of_stage(stage),
            components={name: component_identity(checkpoint, name, cache) for name in contract.components},
            inputs={name: nodes[name].key for name in contract.inputs},
        )
    return nodes
