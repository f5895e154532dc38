"""Ties the graph, the store and the stages' processes together for dodo.py: what is due, and how it is made."""

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.errors import StageError, StoreError
from stages.keys import Digest, Node
from stages.pipeline.contract import STAGES
from stages.pipeline.programs import PROGRAMS, explain_missing, program_of
from stages.request.graph import Graph, build_graph
from stages.request.params import MachineParams, load_params
from stages.run.fingerprint import fingerprint, stage_sources
from stages.run.job import Job
from stages.run.worker import LOGS, Event, Workers
from stages.store.artifacts import MANIFEST, Store, Verdict
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.store.video_links import VideoLinks

_DATABASE = ".doit.db"


@dataclass(frozen=True)
class Build:
    """One invocation of doit: its graph, its store, its processes.

    Attributes:
        root: the project's folder.
        code: fingerprint of the code of each program that makes nodes.
        sources: the files behind each fingerprint.
    """

    root: Path
    graph: Graph
    machine: MachineParams
    store: Store
    code: Mapping[str, Digest]
    sources: Mapping[str, tuple[Path, ...]]
    workers: Workers = field(repr=False)

    @property
    def links(self) -> VideoLinks:
        """The links to the videos."""
        return VideoLinks(self.store)

    @property
    def database(self) -> Path:
        """File of doit's own records."""
        return self.store.root / _DATABASE

    def verdict(self, node: Node) -> Verdict:
        """What the store says of a node under the present code."""
        return self.store.verdict(node, self.code[program_of(node)])

    def freshness(self, node: Node) -> "Freshness":
        """What doit asks whether a node is up to date, and shows in `doit info`."""
        return Freshness(self, node)

    def link_freshness(self, name: str) -> "LinkFreshness":
        """The same for the link to a video."""
        return LinkFreshness(self, name)

    def file_deps(self, node: Node) -> list[Path]:
        """Files that doit watches for a node: the sources of its program, the manifests of its inputs."""
        manifests = [self.store.folder(stage, key) / MANIFEST for stage, key in node.inputs.items()]
        return [*self.sources[program_of(node)], *manifests]

    def targets(self, node: Node) -> list[Path]:
        """Files that a node makes."""
        return [self.store.payload(node.stage, node.key), self.store.folder(node.stage, node.key) / MANIFEST]

    def job(self, node: Node) -> Job:
        """All that a node's program is told."""
        return Job(
            node=node,
            checkpoint=self.graph.checkpoint_of(node),
            store=self.store.root,
            code=self.code[program_of(node)],
            machine=self.machine.model_dump(),
            from_file=self.graph.files.get(node.key),
        )

    def run(self, node: Node, observe: Callable[[Event], None]) -> Event:
        """Make a node's artifact in its program's process; the event that ended it. `observe` sees the others.

        Raises:
            StageError: it was not made; the store is as before.
        """
        for name in self.graph.videos_of(node):
            for later in self.graph.videos[name].values():  # what cannot end is not begun
                if missing := explain_missing(later):
                    raise StageError(missing)
        try:
            return self.workers.run(self.job(node), observe)
        except OSError as error:
            raise self.workers.explain_start(node.title, error) from error
        finally:
            self.store.sweep_drafts()


@dataclass(frozen=True)
class Freshness:
    """The store's answer on one node, asked anew at each call."""

    build: Build
    node: Node

    def __call__(self) -> bool:
        """Whether the node needs no run."""
        return self.build.verdict(self.node).is_fresh

    def __repr__(self) -> str:
        verdict = self.build.verdict(self.node)
        return f"the store: {self.node.title} is {verdict.reason or verdict.state}"


@dataclass(frozen=True)
class LinkFreshness:
    """The store's answer on the link by which a person finds a video, asked anew at each call."""

    build: Build
    name: str

    def __call__(self) -> bool:
        """Whether the link leads to the video of the present parameters."""
        node = self.build.graph.videos[self.name][STAGES[-1]]
        return self.build.links.leads_to(self.name, node)

    def __repr__(self) -> str:
        return f"the store: the link of {self.name} {'leads' if self() else 'does not lead'} to its video"


def load_build(root: Path, overrides: Mapping[str, str], *, is_read_only: bool = False) -> Build:
    """Read the parameters and work out the graph. If nothing will be made (`is_read_only`), any store will do.

    Raises:
        StagesError: parameters, checkpoint or store cannot be used; nothing has been run.
    """
    params = load_params(root, overrides)
    store = Store(root / Path(params.machine.artifacts).expanduser())
    if not is_read_only:
        _ensure_writable(store.root)
    cache = StatCache(store.root / STAT_CACHE)
    graph = build_graph(params, root, cache)
    build = Build(
        root=root,
        graph=graph,
        machine=params.machine,
        store=store,
        code={program: fingerprint(program, cache) for program in PROGRAMS},
        sources={program: stage_sources(program, cache) for program in PROGRAMS},
        workers=Workers(root, store.root / LOGS),
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
            "Mend its permissions, or set `artifacts` in params/machine.toml to another folder."
        ) from error
