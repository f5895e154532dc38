"""Ties the graph, the store and the stages' processes together for dodo.py: what is due, and how it is made."""

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from stages.errors import StageError, StagesError, StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.holder import Holder
from stages.machine.host_group import find_group
from stages.machine.host_memory import available_memory_bytes
from stages.pipeline.component import Component
from stages.pipeline.stage import Program
from stages.pipeline.stages import Pipeline, read_pipeline
from stages.request.graph import Graph, build_graph
from stages.request.params import load_params
from stages.request.tables import MachineParams
from stages.run.answers import Answer
from stages.run.checks import Reader, check_videos
from stages.run.demand import Demand
from stages.run.fingerprint import Fingerprinter
from stages.run.job import Job
from stages.run.lookahead import Lookahead
from stages.run.one_maker import find_ancestors, hold_node
from stages.run.reasons import explain_verdict
from stages.run.runner import Event, Runner
from stages.run.worker import LOGS, Workers
from stages.store.artifacts import Store
from stages.store.ignored_tasks import IgnoredTasks
from stages.store.interface import ArtifactStore
from stages.store.leases import Leases
from stages.store.manifest import MANIFEST
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.store.verdict import Verdict
from stages.store.video_links import VideoLinks

_MAX_NAMED = 3  # videos in a command line; of more, all are asked for
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
    leases: Leases
    overrides: Mapping[str, str] = field(default_factory=dict)
    _checked: dict[str, StagesError | None] = field(default_factory=dict, repr=False)  # by video: its fault, or none
    _fresh: set[str] = field(default_factory=set, repr=False)  # what a run that makes nothing has: nodes, links

    @property
    def pipeline(self) -> Pipeline:
        """The stages, in their order."""
        return self.graph.pipeline

    @cached_property
    def links(self) -> VideoLinks:
        """The links to the videos."""
        return VideoLinks(self.store, suffix=Path(self.pipeline.last.makes.payload).suffix)

    @cached_property
    def ignored(self) -> IgnoredTasks:
        """The tasks that later runs leave out."""
        return IgnoredTasks(self.store.root)

    def program_of(self, node: Node) -> Program:
        """What makes a node."""
        return self.pipeline.program_of(node)

    def verdict(self, node: Node) -> Verdict:
        """What the store says of a node under the present code."""
        return self.store.verdict(node, self._code_of(node))

    def needs_no_run(self, node: Node, demand: Demand) -> bool:
        """Whether a node is as needed. In a run that `check` has found to make nothing, that is not asked again."""
        return node.title in self._fresh or not demand.is_due(node)

    def is_linked(self, video: str) -> bool:
        """Whether a video's link points to the video of the present parameters; not asked again, as above."""
        artifact = self.graph.videos[video][self.pipeline.last.name].artifact
        return video in self._fresh or self.links.points_to(video, artifact)

    def explain(self, node: Node, verdict: Verdict) -> str:
        """A verdict in words: its reasons, or its state where there are none."""
        payload = self.store.folder(node.artifact) / self.files_of(node)[0]
        return explain_verdict(verdict, payload=payload, program=self.program_of(node).name)

    def demand(self, *, is_always: bool = False) -> Demand:
        """Which nodes of a run are to be made."""
        return Demand(self.graph, self.verdict, is_always=is_always)

    def freshness(self, node: Node, demand: Demand) -> Answer:
        """What doit asks whether a node is up to date, and shows in `doit info`."""

        def explain() -> str:
            return f"the store: {node.title} is {self.explain(node, self.verdict(node))}"

        return Answer(partial(self.needs_no_run, node, demand), explain)

    def link_freshness(self, name: str) -> Answer:
        """The same for the link to a video."""
        is_linked = partial(self.is_linked, name)
        return Answer(
            is_linked,
            lambda: f"the store: the link of {name} {'points' if is_linked() else 'does not point'} to its video",
        )

    def files_of(self, node: Node) -> tuple[str, str]:
        """Names of the files by which a node's artifact is known: payload and manifest."""
        return self.pipeline[node.stage].makes.payload, MANIFEST

    def job(self, node: Node, *, waits: bool = True) -> Job:
        """All that a node's program needs, and whether it waits for an accelerator that another process has."""
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
            waits=waits,
        )

    def lookahead(self, is_due: Callable[[Node], bool]) -> Lookahead:
        """Which program's process can be started while another's works. In its order, the nodes stand by stage."""
        return Lookahead(self.graph.all_nodes(), self.program_of, is_due)

    def run(
        self,
        node: Node,
        observe: Callable[[Event], None],
        *,
        ahead: Program | None = None,
        keeps_devices: Callable[[], bool] = lambda: True,
        waits: bool = True,
    ) -> Event:
        """Make a node's artifact in its program's process, unless another run makes it meanwhile.

        Args:
            node: what to make.
            observe: sees all events but the last.
            ahead: the program that is needed next. Its process is started meanwhile, if the machine's settings and its
                memory allow.
            keeps_devices: asked at the end: whether accelerators are kept for another node; else other runs get them.
            waits: whether to wait for what another process has, the node or an accelerator, in place of an error.
        Returns:
            The event that ended it. Where another run has made the artifact, its `made_by` says who, and "" where that
            is not known.
        Raises:
            StageError: it was not made; the store is as before. Or it would have to be waited for.
        """
        faults = self._check(dict.fromkeys(self.graph.videos_of(node), node.stage), Reader())
        if len(faults) == len(self.graph.videos_of(node)):  # else it is made for the others
            error = next(iter(faults.values()))
            raise StageError(f"{type(error).__name__}: {error}") from error
        was_fresh = self.verdict(node).is_fresh  # then it is to be made again all the same
        try:
            with self.lease(node, observe, waits=waits) as before:
                if not was_fresh and self.verdict(node).is_fresh:
                    return {"event": "result", "is_same_as_before": None, "made_by": str(before or "")}
                ahead = ahead if self._has_room_ahead() else None
                ending = self.runner.run(self.job(node, waits=waits), observe, ahead=ahead)
            self._look_back(node, observe)
            return ending
        except StageError as error:
            raise self._with_what_stays(error, node) from error
        finally:
            if not keeps_devices():
                self.runner.give_up_devices()
            self.store.sweep_drafts()

    def lease(
        self, node: Node, observe: Callable[[Event], None], *, waits: bool = True
    ) -> AbstractContextManager[Holder | None]:
        """Keep other runs from making a node for the time of the block; gives who made it before, if it waited.

        Raises:
            StageError: another run makes it, and it is not to be waited for.
        """
        program = self.program_of(node)
        return hold_node(
            node,
            find_ancestors(node, self.graph),
            leases=self.leases,
            runner=self.runner,
            program=program,
            group=self._find_group(observe) if program.joins_hosts else "",
            observe=observe,
            waits=waits,
        )

    def remove(self, artifact: ArtifactId) -> bool:
        """Delete an artifact. False when there is none.

        Raises:
            StoreError: it is in use.
        """
        holder = self._users.get(artifact)
        if holder is not None:
            raise StoreError(f"{artifact.title}: is kept, because it is in use by {holder}. Remove it after that.")
        return self.store.remove(artifact)

    @cached_property
    def _users(self) -> Mapping[ArtifactId, Holder]:
        return self.leases.in_use()

    def _find_group(self, observe: Callable[[Event], None]) -> str:
        def say(what: str) -> None:
            observe({"event": "phase", "name": what})

        return find_group(self.machine.hosts, platform=self.machine.platform, say=say)

    def _look_back(self, node: Node, observe: Callable[[Event], None]) -> None:
        """Say so if what has just been made cannot stay, because something else has changed meanwhile."""
        verdict = self.verdict(node)
        if not verdict.is_fresh:
            why = self.explain(node, verdict)
            observe({"event": "warning", "message": f"was made, and is to be made again by the next `doit`: {why}"})

    def _with_what_stays(self, error: StageError, node: Node) -> StageError:
        """The same error, which names the artifact, not a draft of it, and says from what a next run goes on."""
        draft = re.compile(rf"{re.escape(str(self.store.root))}/\.drafts/[0-9a-f]+/new\b")
        folder = str(self.store.folder(node.artifact))
        text = draft.sub(lambda _: folder, str(error))
        video = self.graph.videos[self.graph.videos_of(node)[0]]
        kept = [video[stage] for stage in node.inputs if self.verdict(video[stage]).is_fresh]
        if kept:
            payloads = ", ".join(str(self.store.payload(each.artifact)) for each in kept)
            text += f"\n  What it is made from stays: {payloads}. `{self._command_for(node)}` goes on from there."
        return StageError(text)

    def _command_for(self, node: Node) -> str:
        """The command line that makes what a node is for, as it was asked for here."""
        videos = self.graph.videos_of(node)
        changes = (f"{name}={value}" for name, value in self.overrides.items())
        return shlex.join(["doit", *(videos if len(videos) <= _MAX_NAMED else ()), *changes])

    def check(self, names: Collection[str], is_due: Callable[[Node], bool]) -> dict[str, StagesError]:
        """What keeps videos from being made, by their names, as far as it can be known before anything runs.

        Args:
            names: of the tasks of this run: titles of nodes, and videos; without any video, all are looked at.
            is_due: whether a node is to be made.
        Raises:
            StoreError: the store cannot take what would be made.
        """
        nodes = [node for node in self.graph.all_nodes() if node.title in names]
        due = {node.artifact for node in nodes if is_due(node)}
        reader = Reader()
        faults = self._check(self._find_first(names, due), reader) if due else {}
        links = [name for name in self.graph.videos if name in names and name not in faults]
        has_links = not all(self.is_linked(name) for name in links)
        wanted = [(node, self._first_sound(node, faults)) for node in nodes if node.artifact in due]
        self.require_room([(node, video) for node, video in wanted if video], reader, has_links=has_links)
        if not due and not has_links:
            self._fresh.update(node.title for node in nodes)
            self._fresh.update(links)
        return faults

    def require_room(
        self, nodes: Sequence[tuple[Node, str]], reader: Reader | None = None, *, has_links: bool = False
    ) -> None:
        """Find out whether the store can take what these nodes, each for a video, and links to videos will make.

        `reader` is one that has read what the videos have in common already, if there is one.

        Raises:
            StoreError: it cannot; all that is wrong.
        """
        if not nodes and not has_links:
            return
        from stages.run.room import require_room  # noqa: PLC0415 (of no use when nothing is to be made)

        links = self.links.folder if has_links else None
        require_room(self.graph, self.machine.model_dump(), self.store, nodes, reader or Reader(), links=links)

    def _first_sound(self, node: Node, faults: Collection[str]) -> str:
        """The first video of a node that can be made, or ""."""
        return next((name for name in self.graph.videos_of(node) if name not in faults), "")

    def _find_first(self, names: Collection[str], due: Set[ArtifactId]) -> dict[str, str]:
        """Of each video that is to be checked, the stage of its first node that is due."""
        first: dict[str, str] = {}
        for name in [name for name in self.graph.videos if name in names] or self.graph.videos:
            stages = (stage for stage, node in self.graph.videos[name].items() if node.artifact in due)
            if stage := next(stages, None):
                first[name] = stage
        return first

    def _check(self, first: Mapping[str, str], reader: Reader) -> dict[str, StagesError]:
        unknown = {name: stage for name, stage in first.items() if name not in self._checked}
        faults = check_videos(self.graph, self.machine.model_dump(), unknown, reader)
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


def load_build(root: Path, overrides: Mapping[str, str], *, is_read_only: bool = False) -> Build:
    """Read a project's stages and parameters, and work out the graph.

    What is wrong with single videos is in the graph's faults. If nothing will be made (`is_read_only`), the store need
    not be writable.

    Raises:
        StagesError: stages, parameters, checkpoint or store cannot be used; nothing has been run.
    """
    pipeline = read_pipeline(root)
    params = load_params(root, overrides, pipeline)
    store = Store(root / Path(params.machine.artifacts).expanduser(), notify=_tell_of_reading)
    if not is_read_only:
        _ensure_writable(store.root)
    leases = Leases(store.root)
    leases.sweep()
    store.sweep_drafts()
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
        leases=leases,
        overrides=overrides,
    )
    cache.save()
    return build


def _tell_of_reading(path: Path, size_bytes: int) -> None:
    """What a person sees while nothing else happens: once for each file, as after a store was copied."""
    print(
        f"{path}: is not the file that was published, so its {size_bytes / 2**30:.1f} GiB are read and compared. "
        "`doit verify` reads several files at a time.",
        file=sys.stderr,
    )


def _ensure_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}). "
            "Fix its permissions, or set `artifacts` in params/machine.toml to another folder."
        ) from error
