"""Ties the graph, the store and the stages' processes together for dodo.py: what is due, and how it is made."""

import errno
import os
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Signature
from pathlib import Path

from stages.errors import StageError, StagesError, StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.host_memory import available_memory_bytes
from stages.pipeline.component import Component
from stages.pipeline.stage import Program
from stages.pipeline.stages import Pipeline, read_pipeline
from stages.request.graph import Graph, build_graph
from stages.request.params import MachineParams, load_params
from stages.run.checks import check_videos
from stages.run.fingerprint import Fingerprinter
from stages.run.job import Job
from stages.run.lookahead import Lookahead
from stages.run.reasons import explain_verdict
from stages.run.runner import Event, Runner
from stages.run.worker import LOGS, Workers
from stages.store.artifacts import Store
from stages.store.interface import ArtifactStore
from stages.store.manifest import MANIFEST
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.store.verdict import Verdict
from stages.store.video_links import VideoLinks

_DATABASE = ".doit.db"
_MAX_SUMMARY = 120  # characters
# Of free memory for a process that is started ahead, which takes up to 0.5 GiB to import its libraries.
_ROOM_BYTES = 2 << 30


@dataclass(frozen=True)
class Build:
    """One invocation of doit: its graph, its store, its processes.

    Attributes:
        root: the project's folder.
        code: fingerprint of the code of each program that makes nodes, by its package.
        overrides: parameters of the command line, by dotted name.
    """

    root: Path
    graph: Graph
    machine: MachineParams
    store: ArtifactStore
    code: Mapping[str, Digest]
    runner: Runner = field(repr=False)
    overrides: Mapping[str, str] = field(default_factory=dict)
    _checked: dict[str, StagesError | None] = field(default_factory=dict, repr=False)  # by video: its fault, or none

    @property
    def pipeline(self) -> Pipeline:
        """The stages, in their order."""
        return self.graph.pipeline

    @cached_property
    def links(self) -> VideoLinks:
        """The links to the videos."""
        return VideoLinks(self.store, suffix=Path(self.pipeline.last.makes.payload).suffix)

    @property
    def database(self) -> Path:
        """File of doit's own records."""
        return self.store.root / _DATABASE

    def program_of(self, node: Node) -> Program:
        """What makes a node."""
        return self.pipeline.program_of(node)

    def verdict(self, node: Node) -> Verdict:
        """What the store says of a node under the present code."""
        return self.store.verdict(node, self._code_of(node))

    def explain(self, node: Node, verdict: Verdict) -> str:
        """A verdict in words: its reasons, or its state where there are none."""
        return explain_verdict(verdict, payload=self.targets(node)[0], program=self.program_of(node).name)

    def freshness(self, node: Node) -> "Freshness":
        """What doit asks whether a node is up to date, and shows in `doit info`."""
        return Freshness(self, node)

    def link_freshness(self, name: str) -> "LinkFreshness":
        """The same for the link to a video."""
        return LinkFreshness(self, name)

    def file_deps(self, node: Node) -> list[Path]:
        """Files that doit watches for a node: the manifests of its inputs. The store looks at the code."""
        return [self.store.folder(artifact) / MANIFEST for artifact in node.input_artifacts]

    def targets(self, node: Node) -> list[Path]:
        """Files that a node makes."""
        folder = self.store.folder(node.artifact)
        return [folder / self.pipeline[node.stage].makes.payload, folder / MANIFEST]

    def job(self, node: Node) -> Job:
        """All that a node's program needs."""
        stage = self.pipeline[node.stage]
        return Job(
            node=node,
            parameters=stage.complete(node.parameters),
            program=self.program_of(node),
            makes=stage.makes,
            inputs={
                name: ArtifactId(producer.name, node.inputs[producer.name])
                for name, producer in self.pipeline.producers(stage).items()
                if producer.name in node.inputs  # a file from elsewhere is made of nothing
            },
            rank=self.pipeline.names.index(node.stage),
            components=self._components_of(node),
            checkpoint=self.graph.checkpoint_of(node),
            store=self.store.root,
            code=self._code_of(node),
            machine=self.machine.model_dump(),
            from_file=self.graph.files.get(node.key),
            preflight=self._preflight_of(node),
        )

    def lookahead(self, is_due: Callable[[Node], bool]) -> Lookahead:
        """Which program's process can be started while another's works. In its order, the nodes stand by stage."""
        return Lookahead(self.graph.all_nodes(), self.program_of, is_due)

    def run(self, node: Node, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        """Make a node's artifact in its program's process; the event that ended it. `observe` sees the others.

        `ahead` is the program that is needed next. Its process is started meanwhile, if the machine's settings and its
        memory allow.

        Raises:
            StageError: it was not made; the store is as before.
        """
        faults = self._check(dict.fromkeys(self.graph.videos_of(node), node.stage))
        if len(faults) == len(self.graph.videos_of(node)):  # else it is made for the others
            error = next(iter(faults.values()))
            raise StageError(f"{type(error).__name__}: {error}") from error
        try:
            return self.runner.run(self.job(node), observe, ahead=ahead if self._has_room_ahead() else None)
        finally:
            self.store.sweep_drafts()

    def check(self, names: Collection[str], is_due: Callable[[Node], bool]) -> dict[str, StagesError]:
        """What keeps videos from being made, by their names, as far as it can be known before anything runs.

        Args:
            names: of the tasks of this run: titles of nodes, and videos; without any video, all are looked at.
            is_due: whether a node is to be made.
        """
        due = {node.artifact for node in self.graph.all_nodes() if node.title in names and is_due(node)}
        if not due:
            return {}
        first: dict[str, str] = {}
        for name in [name for name in self.graph.videos if name in names] or self.graph.videos:
            stages = (stage for stage, node in self.graph.videos[name].items() if node.artifact in due)
            if stage := next(stages, None):
                first[name] = stage
        return self._check(first)

    def _check(self, first: Mapping[str, str]) -> dict[str, StagesError]:
        unknown = {name: stage for name, stage in first.items() if name not in self._checked}
        faults = check_videos(self.graph, self.machine.model_dump(), unknown)
        self._checked.update({name: faults.get(name) for name in unknown})
        return {name: fault for name in first if (fault := self._checked[name])}

    def _components_of(self, node: Node) -> tuple[Component, ...]:
        """What a node is made from of the checkpoint; a file from elsewhere is made of nothing."""
        return self.pipeline[node.stage].components if node.components else ()

    def _preflight_of(self, node: Node) -> str:
        """The command line that says what a node's videos need, as they were asked for here."""
        changes = (f"{name}={value}" for name, value in self.overrides.items())
        return shlex.join(["doit", "preflight", *self.graph.videos_of(node), *changes])

    def _has_room_ahead(self) -> bool:
        return self.machine.start_ahead == "auto" and available_memory_bytes() >= _ROOM_BYTES

    def _code_of(self, node: Node) -> Digest:
        return self.code[self.program_of(node).package]


@dataclass(frozen=True)
class Freshness:
    """The store's answer on one node, asked anew at each call."""

    __signature__ = Signature()  # doit asks for it, of each node, and Python would look for it

    build: Build
    node: Node

    def __call__(self) -> bool:
        """Whether the node needs no run."""
        return self.build.verdict(self.node).is_fresh

    def __repr__(self) -> str:
        state = self.build.explain(self.node, self.build.verdict(self.node))
        return f"the store: {self.node.title} is {state}"


@dataclass(frozen=True)
class LinkFreshness:
    """The store's answer on the link by which a person finds a video, asked anew at each call."""

    __signature__ = Signature()  # as above

    build: Build
    name: str

    def __call__(self) -> bool:
        """Whether the link points to the video of the present parameters."""
        node = self.build.graph.videos[self.name][self.build.pipeline.last.name]
        return self.build.links.points_to(self.name, node.artifact)

    def __repr__(self) -> str:
        return f"the store: the link of {self.name} {'points' if self() else 'does not point'} to its video"


@dataclass(frozen=True)
class Fault:
    """Why a video cannot be made: what doit asks whether it is up to date, and shows in `doit info`."""

    error: StagesError

    def __call__(self) -> bool:
        """It never is."""
        return False

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"

    @property
    def summary(self) -> str:
        """The first of its lines, shortened, and how many more there are."""
        first, *others = str(self.error).splitlines()
        shown = first if len(first) <= _MAX_SUMMARY else f"{first[: _MAX_SUMMARY - 1]}…"
        return f"{shown} (and {len(others)} more)" if others else shown


def load_build(root: Path, overrides: Mapping[str, str], *, is_read_only: bool = False) -> Build:
    """Read a project's stages and parameters, and work out the graph.

    What is wrong with single videos is in the graph's faults. If nothing will be made (`is_read_only`), the store need
    not be writable.

    Raises:
        StagesError: stages, parameters, checkpoint or store cannot be used; nothing has been run.
    """
    pipeline = read_pipeline(root)
    params = load_params(root, overrides, pipeline)
    store = Store(root / Path(params.machine.artifacts).expanduser())
    if not is_read_only:
        _ensure_writable(store.root)
    cache = StatCache(store.root / STAT_CACHE)
    graph = build_graph(params, root, cache, pipeline)
    packages, fingerprinter = {program.package for program in pipeline.programs}, Fingerprinter(cache)
    build = Build(
        root=root,
        graph=graph,
        machine=params.machine,
        store=store,
        code={package: fingerprinter.fingerprint(package) for package in packages},
        runner=Workers(root, store.root / LOGS),
        overrides=overrides,
    )
    cache.save()
    return build


def _ensure_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _DATABASE).open("ab").close()  # `touch` lets the owner pass, also one who may not write
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}). "
            "Fix its permissions, or set `artifacts` in params/machine.toml to another folder."
        ) from error
