"""From parameters to nodes: which stages of which videos there are, and who shares what.

Knows nothing of what has been made already (stages/store) or of how it is made (stages/run).
"""

import functools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stages.errors import CheckpointError, ParamsError, StagesError
from stages.keys import FROM_FILE, ArtifactId, JsonValue, Key, Node
from stages.machine.regular_files import digest_file
from stages.models.checkpoint import Checkpoint, component_identity, list_components
from stages.models.outcomes import remember_outcomes
from stages.models.wording import name_some
from stages.pipeline.stages import Pipeline
from stages.request.params import Params
from stages.request.tables import ModelParams
from stages.request.video_params import VideoParams
from stages.store.stat_cache import StatCache

_PROMPT = "prompt"  # a parameter, of whichever stage has it


@dataclass(frozen=True)
class Graph:
    """The nodes of all videos.

    Attributes:
        pipeline: the stages, in their order.
        videos: per video, its node of each stage; none of a stage whose result a file makes needless.
        checkpoints: per video, its model.
        files: of each node that is made from a file, the file (any of those that are alike).
        faults: of each video that cannot be made, why; it has no nodes and no checkpoint.
        sweeps: by the name of each sweep, by those of its videos, what differs: values by dotted name.
    """

    pipeline: Pipeline
    videos: Mapping[str, Mapping[str, Node]]
    checkpoints: Mapping[str, Checkpoint]
    files: Mapping[Key, Path]
    faults: Mapping[str, StagesError] = field(default_factory=dict)
    sweeps: Mapping[str, Mapping[str, Mapping[str, JsonValue]]] = field(default_factory=dict)

    def nodes(self, stage: str) -> Mapping[Key, Node]:
        """The different nodes of a stage; videos that agree in all that matters share one.

        Those that need the same program with the same model stand together, so that each is loaded once.
        """
        return self._nodes[stage]

    @cached_property
    def _nodes(self) -> Mapping[str, Mapping[Key, Node]]:
        return {stage: self._nodes_of(stage) for stage in self.pipeline.names}

    def _nodes_of(self, stage: str) -> Mapping[Key, Node]:
        nodes = {node.key: node for chain in self.videos.values() if (node := chain.get(stage))}
        kinds: dict[tuple[JsonValue, ...], dict[Key, Node]] = {}  # in the order in which they are met
        for key, node in nodes.items():
            kinds.setdefault(self._kind(node), {})[key] = node
        return {key: node for kind in kinds.values() for key, node in kind.items()}

    def all_nodes(self) -> Sequence[Node]:
        """The different nodes of all stages, stage by stage."""
        return self._all_nodes

    @cached_property
    def _all_nodes(self) -> Sequence[Node]:
        return [node for stage in self.pipeline.names for node in self.nodes(stage).values()]

    def videos_of(self, node: Node) -> tuple[str, ...]:
        """Names of the videos that a node is part of."""
        return self._videos[node.artifact]

    def prompt_of(self, video: str) -> str:
        """The prompt by which people know a video; "" of one whose embeddings or latents are a file's."""
        own = (node.parameters.get(_PROMPT) for node in self.videos[video].values())
        return next((prompt for prompt in own if isinstance(prompt, str)), "")

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
    chains = _Chains(pipeline, cache)

    def find(name: str, video: VideoParams) -> None:
        checkpoint = _resolve_once(video.model, root, params.typed_for(name), resolved)
        chains.list_files(video, checkpoint)
        checkpoints[name] = checkpoint

    def make(name: str, video: VideoParams) -> None:
        videos[name] = chains.of(video, checkpoints[name])

    for step in (find, make):  # of all videos, what the hub lists is known before any component is identified
        for name, video in params.videos.items():
            try:
                if name not in faults:
                    step(name, video)
            except StagesError as error:
                if _is_typed(error, params.typed_for(name)):
                    raise
                faults[name] = error
    checkpoints = {name: checkpoints[name] for name in videos}
    faults = {name: faults[name] for name in params.videos if name in faults}
    all_faults = {**params.faults, **name_videos(faults)}
    return Graph(pipeline, videos, checkpoints, _find_files(videos, params), all_faults, params.sweeps)


def _find_files(videos: Mapping[str, Mapping[str, Node]], params: Params) -> Mapping[Key, Path]:
    """The files from elsewhere of the nodes that are made from one."""
    return {
        node.key: file
        for name, nodes in videos.items()
        for stage, node in nodes.items()
        if (file := params.videos[name].file_of_stage(stage))
    }


def _resolve_once(
    model: ModelParams, root: Path, typed: Set[str], resolved: dict[object, Checkpoint | CheckpointError]
) -> Checkpoint:
    """As `resolve`; `resolved` remembers the answers, so that the hub is asked once, also when it does not answer."""
    place = (frozenset(typed), *model.model_dump(exclude={"components"}).items())
    if place not in resolved:
        try:
            resolved[place] = model.resolve(root, typed)
        except CheckpointError as error:
            resolved[place] = error
    answer = resolved[place]
    if isinstance(answer, CheckpointError):
        raise answer
    return answer


def _is_typed(error: StagesError, typed: Set[str]) -> bool:
    """Whether the command line names what an error is about: then it stops all, as every wrong override."""
    if isinstance(error, CheckpointError):
        return any(dotted.startswith("model.") for dotted in typed)
    return any(dotted.endswith(f".{FROM_FILE}") for dotted in typed)


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


class _Chains:
    """Makes the nodes of videos. What several have in common is looked up and made once."""

    def __init__(self, pipeline: Pipeline, cache: StatCache) -> None:
        self._pipeline = pipeline
        self._cache = cache
        # folders are scanned once, and a hub that does not answer is asked once
        self._identify = remember_outcomes(functools.partial(component_identity, cache=cache))
        self._list = remember_outcomes(functools.partial(list_components, cache=cache))
        self._needed = functools.cache(functools.partial(_needed_stages, pipeline))
        self._nodes: dict[str, Node] = {}
        self._of_tables: dict[tuple[object, ...], Node] = {}  # most videos share most of their tables

    def list_files(self, video: VideoParams, checkpoint: Checkpoint) -> None:
        """Have the hub list what it must, of all stages of a video, so that one message names all that is missing.

        Raises:
            CheckpointError: it does not.
        """
        if checkpoint.repo or checkpoint.elsewhere:
            files = frozenset(self._files(video))
            read = (name for name in self._needed(files) if name not in files)
            self._list(checkpoint, tuple(each for name in read for each in self._pipeline[name].components))

    def of(self, video: VideoParams, checkpoint: Checkpoint) -> Mapping[str, Node]:
        """The nodes of a video, by stage.

        Raises:
            CheckpointError: a component cannot be used.
            ParamsError: a file from elsewhere cannot be read.
        """
        files = self._files(video)
        nodes: dict[str, Node] = {}
        for name in self._needed(frozenset(files)):
            stage = self._pipeline[name]
            if name in files:
                digest = _content_digest(name, files[name], self._cache)
                node = Node(name, {FROM_FILE: digest}, components={}, inputs={})
                nodes[name] = self._once(node)
                continue
            inputs = {producer.name: nodes[producer.name] for producer in self._pipeline.producers(stage).values()}
            # of one table, one checkpoint and the same inputs, which all live as long as this does
            same = (name, id(video.stages[name]), id(checkpoint), *map(id, inputs.values()))
            if same not in self._of_tables:
                components = {each.name: self._identify(checkpoint, each) for each in stage.components}
                keys = {producer: node.key for producer, node in inputs.items()}
                self._of_tables[same] = self._once(Node(name, video.of_stage(name), components, keys))
            nodes[name] = self._of_tables[same]
        return nodes

    def _once(self, node: Node) -> Node:
        """The first node that is equal to it. A key would take ten times as long to compare."""
        return self._nodes.setdefault(repr(node), node)  # which tells 1 from 1.0 and from true

    def _files(self, video: VideoParams) -> Mapping[str, Path]:
        """What takes the place of stages, by their names."""
        return {name: file for name in self._pipeline.names if (file := video.file_of_stage(name))}


def _needed_stages(pipeline: Pipeline, files: Set[str]) -> list[str]:
    """The stages that the last one is made of, in their order; one of `files`, from elsewhere, is made of none."""
    needed = {pipeline.last.name}
    for stage in reversed(pipeline.stages):
        if stage.name in needed and stage.name not in files:
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
