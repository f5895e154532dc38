"""From parameters to nodes: which stages of which videos there are, and who shares what.

Knows nothing of what has been made already (stages/store) or of how it is made (stages/run).
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from stages.errors import CheckpointError, ParamsError, StagesError
from stages.keys import FROM_FILE, ArtifactId, JsonValue, Key, Node, digest_file
from stages.models.checkpoint import Checkpoint, component_identity, list_components
from stages.pipeline.component import Component
from stages.pipeline.stages import Pipeline
from stages.request.params import ModelParams, Params, VideoParams
from stages.store.stat_cache import StatCache
from stages.wording import name_some

# What identifies a component of a checkpoint in a key.
Identify: TypeAlias = Callable[[Checkpoint, Component], str]


@dataclass(frozen=True)
class Graph:
    """The nodes of all videos.

    Attributes:
        pipeline: the stages, in their order.
        videos: per video, its node of each stage; none of a stage whose result a file makes needless.
        checkpoints: per video, its model.
        files: of each node that is made from a file, the file (any of those that are alike).
        faults: of each video that cannot be made, why; it has no nodes and no checkpoint.
    """

    pipeline: Pipeline
    videos: Mapping[str, Mapping[str, Node]]
    checkpoints: Mapping[str, Checkpoint]
    files: Mapping[Key, Path]
    faults: Mapping[str, StagesError] = field(default_factory=dict)

    def nodes(self, stage: str) -> Mapping[Key, Node]:
        """The different nodes of a stage; videos that agree in all that matters share one.

        Those that need the same program with the same model stand together, so that each is loaded once.
        """
        return self._nodes[stage]

    @cached_property
    def _nodes(self) -> Mapping[str, Mapping[Key, Node]]:
        return {stage: self._nodes_of(stage) for stage in self.pipeline.names}

    def _nodes_of(self, stage: str) -> Mapping[Key, Node]:
        kinds: dict[tuple[JsonValue, ...], dict[Key, Node]] = {}  # in the order in which they are met
        for nodes in self.videos.values():
            if stage in nodes:
                kinds.setdefault(self._kind(nodes[stage]), {})[nodes[stage].key] = nodes[stage]
        return {key: node for kind in kinds.values() for key, node in kind.items()}

    def all_nodes(self) -> list[Node]:
        """The different nodes of all stages, stage by stage."""
        return [node for stage in self.pipeline.names for node in self.nodes(stage).values()]

    def videos_of(self, node: Node) -> tuple[str, ...]:
        """Names of the videos that a node is part of."""
        return self._videos[node.artifact]

    def checkpoint_of(self, node: Node) -> Checkpoint:
        """The model that a node uses (any of those that are alike to it)."""
        return self.checkpoints[self.videos_of(node)[0]]

    @cached_property
    def _videos(self) -> Mapping[ArtifactId, tuple[str, ...]]:
        names: dict[ArtifactId, list[str]] = {}
        for name, nodes in self.videos.items():
            for node in nodes.values():
                names.setdefault(node.artifact, []).append(name)
        return {artifact: tuple(videos) for artifact, videos in names.items()}

    def _kind(self, node: Node) -> tuple[JsonValue, ...]:
        """What a process has to load for a node."""
        components = [f"{name} {identity}" for name, identity in sorted(node.components.items())]
        stage, parameters = self.pipeline[node.stage], node.parameters
        program = stage.program_of(parameters).name
        return (program, stage.choice_of(parameters), parameters.get("dtype"), *components)


def build_graph(params: Params, root: Path, cache: StatCache, pipeline: Pipeline) -> Graph:
    """Nodes of all videos.

    A video whose checkpoint or file from elsewhere cannot be used is in `Graph.faults`, as those of `params.faults`.

    Raises:
        CheckpointError: the checkpoint that the command line names cannot be used.
        ParamsError: the file from elsewhere that the command line names cannot be read.
    """
    checkpoints: dict[str, Checkpoint] = {}
    videos: dict[str, Mapping[str, Node]] = {}
    faults: dict[str, StagesError] = {}
    resolved: dict[object, Checkpoint | CheckpointError] = {}
    identify = functools.cache(functools.partial(component_identity, cache=cache))  # folders are scanned once
    for name, video in params.videos.items():
        try:
            checkpoint = _resolve_once(video.model, root, resolved)
            videos[name] = _chain_or_all_missing(video, checkpoint, cache, pipeline, identify)
            checkpoints[name] = checkpoint
        except StagesError as error:
            if _is_typed(error, params):
                raise
            faults[name] = error
    files = {
        node.key: file
        for name, nodes in videos.items()
        for stage, node in nodes.items()
        if (file := params.videos[name].file_of_stage(stage))
    }
    return Graph(pipeline, videos, checkpoints, files, {**params.faults, **name_videos(faults)})


def _resolve_once(model: ModelParams, root: Path, resolved: dict[object, Checkpoint | CheckpointError]) -> Checkpoint:
    """As `resolve`; `resolved` remembers the answers, so that the hub is asked once, also when it does not answer."""
    place = tuple(model.model_dump(exclude={"components"}).items())
    if place not in resolved:
        try:
            resolved[place] = model.resolve(root)
        except CheckpointError as error:
            resolved[place] = error
    answer = resolved[place]
    if isinstance(answer, CheckpointError):
        raise answer
    return answer


def _is_typed(error: StagesError, params: Params) -> bool:
    """Whether the command line names what an error is about: then it stops all, as every wrong override."""
    if isinstance(error, CheckpointError):
        return any(dotted.startswith("model.") for dotted in params.typed)
    return any(dotted.endswith(f".{FROM_FILE}") for dotted in params.typed)


def name_videos(faults: Mapping[str, StagesError]) -> dict[str, StagesError]:
    """The same, each with the names of its videos; those of one checkpoint share one error."""
    alike: dict[str, list[str]] = {}
    for name, error in faults.items():
        alike.setdefault(str(error), []).append(name)
    named: dict[str, StagesError] = {}
    for text, names in alike.items():
        cause = faults[names[0]]
        error = type(cause)(f"{name_some(names)}: {text}")
        error.__cause__ = cause
        named |= dict.fromkeys(names, error)
    return named


def _chain_or_all_missing(
    video: VideoParams, checkpoint: Checkpoint, cache: StatCache, pipeline: Pipeline, identify: Identify
) -> Mapping[str, Node]:
    """As `_chain`; where the hub cannot be asked, the message names what all stages lack, not the first one alone."""
    try:
        return _chain(video, checkpoint, cache, pipeline, identify)
    except CheckpointError:
        read = [name for name in _needed_stages(video, pipeline) if not video.file_of_stage(name)]
        list_components(checkpoint, [each for name in read for each in pipeline[name].components], cache)
        raise


def _chain(
    video: VideoParams, checkpoint: Checkpoint, cache: StatCache, pipeline: Pipeline, identify: Identify
) -> Mapping[str, Node]:
    nodes: dict[str, Node] = {}
    for name in _needed_stages(video, pipeline):
        stage, file = pipeline[name], video.file_of_stage(name)
        if file:
            nodes[name] = Node(name, {FROM_FILE: _content_digest(name, file, cache)}, components={}, inputs={})
        else:
            producers = pipeline.producers(stage).values()
            nodes[name] = Node(
                stage=name,
                parameters=video.of_stage(name),
                components={each.name: identify(checkpoint, each) for each in stage.components},
                inputs={producer.name: nodes[producer.name].key for producer in producers},
            )
    return nodes


def _needed_stages(video: VideoParams, pipeline: Pipeline) -> list[str]:
    """The stages that the last one is made of, in their order; a file from elsewhere is made of none."""
    needed = {pipeline.last.name}
    for stage in reversed(pipeline.stages):
        if stage.name in needed and video.file_of_stage(stage.name) is None:
            needed |= {producer.name for producer in pipeline.producers(stage).values()}
    return [name for name in pipeline.names if name in needed]


def _content_digest(stage: str, file: Path, cache: StatCache) -> str:
    """XXH3-128 of a file's bytes, which are read once per change (see stat_cache.py)."""
    try:
        return str(cache.get("xxh3", file, digest_file))
    except OSError as error:
        raise ParamsError(
            f"{stage}.{FROM_FILE}: {file} cannot be read ({error.strerror}). Fix that, or name another file."
        ) from error
