"""Ties the graph, the store and the stages' processes together for dodo.py: what is due, and how it is made."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from stages.errors import StagesError, StoreError, UnreadableError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.holder import Holder
from stages.machine.host_group import find_group
from stages.pipeline.stage import Program
from stages.pipeline.stages import Pipeline
from stages.request.draft import name_draft
from stages.request.graph import Graph
from stages.request.tables import RAY, MachineParams
from stages.run.demand import Demand
from stages.run.freshness import Due, Freshness
from stages.run.interruption import describe_left
from stages.run.job import Job
from stages.run.job_of_node import describe_job
from stages.run.lookahead import Lookahead
from stages.run.next_steps import command_for
from stages.run.one_maker import find_ancestors, hold_node
from stages.run.runner import Event, Runner
from stages.store.ignored_tasks import IgnoredTasks
from stages.store.interface import ArtifactStore
from stages.store.leases import Leases
from stages.store.manifest import MANIFEST
from stages.store.sweep_numbers import Numbers, SweepNumbers
from stages.store.verdict import Verdict
from stages.store.video_links import VideoLinks

if TYPE_CHECKING:
    from stages.remote.remote import RemoteStore
    from stages.run.exchange import Exchange
    from stages.run.precheck import Precheck


@dataclass(frozen=True)
class Build:
    """One invocation of doit: its graph, its store, its processes.

    Attributes:
        root: the project's folder.
        code: fingerprint of the code of each program that makes nodes, by its package.
        overrides: parameters of the command line, by dotted name.
        is_draft: whether each video is its draft.
        new_numbers: of combinations of sweeps, those that the store is to remember.
        remote: the store that is shared, if there is one.
    """

    root: Path
    graph: Graph
    machine: MachineParams
    store: ArtifactStore
    code: Mapping[str, Digest]
    runner: Runner = field(repr=False)
    leases: Leases
    overrides: Mapping[str, str] = field(default_factory=dict)
    is_draft: bool = False
    new_numbers: Numbers = field(default_factory=dict)
    remote: "RemoteStore | None" = None
    _kept: ExitStack = field(default_factory=ExitStack, init=False, repr=False, compare=False)

    @property
    def pipeline(self) -> Pipeline:
        """The stages, in their order."""
        return self.graph.pipeline

    @cached_property
    def links(self) -> VideoLinks:
        """The links to the videos."""
        suffix = Path(self.pipeline.last.makes.payload).suffix
        if self.is_draft:
            return VideoLinks(self.store, suffix=name_draft("") + suffix, command="doit draft")
        return VideoLinks(self.store, suffix=suffix)

    @cached_property
    def ignored(self) -> IgnoredTasks:
        """The tasks that later runs leave out."""
        return IgnoredTasks(self.store.root)

    def program_of(self, node: Node) -> Program:
        """What makes a node."""
        return self.pipeline.program_of(node)

    def verdict(self, node: Node) -> Verdict:
        """What the store says of a node under the present code."""
        return self.verdict_here(node) if self.exchange is None else self.exchange.judge(node)

    def verdict_here(self, node: Node) -> Verdict:
        """The same, whatever the remote store has."""
        return self.store.verdict(node, self._code_of(node))

    @cached_property
    def exchange(self) -> "Exchange | None":
        """What passes between the store and the remote one."""
        if self.remote is None:
            return None
        from stages.run.exchange import open_exchange  # noqa: PLC0415 (of no use to those who share nothing)

        return open_exchange(self.graph, self.store, self.remote, self.verdict_here, self._code_of)

    @property
    def is_made_elsewhere(self) -> bool:
        """Whether what makes nodes has stores of its own, and the remote store gives it what it reads."""
        return self.remote is not None and self.machine.runner == RAY

    @cached_property
    def freshness(self) -> Freshness:
        """Which nodes and links are as needed."""
        return Freshness(self.graph, self.store, self.links, self.verdict)

    @cached_property
    def precheck(self) -> "Precheck":
        """What is looked at before anything is made."""
        from stages.run.precheck import Precheck  # noqa: PLC0415 (of no use when nothing is to be made)

        return Precheck(self.graph, self.machine.model_dump(), self.store, self.freshness, self.exchange)

    def demand(self, *, is_always: bool = False) -> Demand:
        """Which nodes of a run are to be made."""
        if self.exchange is None:
            return Demand(self.graph, self.verdict, is_always=is_always)
        return Demand(
            self.graph,
            self.verdict,
            is_always=is_always,
            takes_all=self.exchange.remote.policy.takes_all,
            can_fetch=self.exchange.can_fetch,
            is_read_elsewhere=self.is_made_elsewhere,
        )

    def check(
        self, names: Collection[str], demand: Demand, announce: Callable[[Due, Collection[str]], None] | None = None
    ) -> tuple[Mapping[str, StagesError], Collection[str]]:
        """What keeps videos from being made, as far as it can be known before anything runs.

        A video with an artifact that cannot be read, and may be whole, is one of these.
        In a run that makes nothing, no task is asked again whether it is as needed.

        Args:
            names: of the tasks of this run: titles of nodes, and videos; without any video, all are looked at.
            demand: of this run; of videos that cannot be made, it forgets what is for no other.
            announce: is called with what is about to be made, and with the names that are left.
        Returns:
            The faults, by their videos; and the names of the tasks that are left without those.
        Raises:
            StoreError: the store cannot take what would be made.
            FleetError: there is nothing that could make it.
        """
        unreadable: Mapping[str, StagesError] = {}
        try:
            if self.exchange:
                self.exchange.begin(names)
            due = self.freshness.find_due(names, demand)
        except UnreadableError:
            unreadable, names = self.precheck.leave_unreadable(names, demand)
            due = self.freshness.find_due(names, demand)
        if not due:
            self.freshness.settle(names)
            return unreadable, names
        faults, left = self.precheck.check(names, due, demand)
        if self.exchange:
            self.exchange.settle(left, demand)
        if self.new_numbers:
            SweepNumbers(self.store.root).add(self.new_numbers)
        due = self.freshness.find_due(left, demand) if faults else due
        if due.made:
            self.runner.prepare()
            self._keep(due)
        if announce is not None:
            announce(due, left)
        return {**unreadable, **faults}, left

    def files_of(self, node: Node) -> tuple[str, str]:
        """Names of the files by which a node's artifact is known: payload and manifest."""
        return self.pipeline[node.stage].makes.payload, MANIFEST

    def job(self, node: Node, *, waits: bool = True) -> Job:
        """All that a node's program needs, and whether it waits for an accelerator that another process has."""
        return describe_job(self, node, self._code_of(node), waits=waits)

    def lookahead(self, is_due: Callable[[Node], bool]) -> Lookahead:
        """Which program's process can be started while another's works. In its order, the nodes stand by stage."""
        return Lookahead(self.graph.all_nodes(), self.program_of, is_due)

    def run(
        self,
        node: Node,
        observe: Callable[[Event], None],
        *,
        was_fresh: bool = False,
        may_fetch: bool = True,
        ahead: Program | None = None,
        keeps_devices: Callable[[], bool] = lambda: True,
        waits: bool = True,
    ) -> Event:
        """Fetch a node's artifact, or make it in its program's process, unless another run makes it meanwhile.

        Args:
            node: what to make.
            observe: sees all events but the last.
            was_fresh: whether it was fresh when this was asked for; then it is made again all the same.
            may_fetch: whether it may be fetched where the remote store has it.
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
        from stages.run.making import make_node  # noqa: PLC0415 (of no use when nothing is to be made)

        make = partial(
            make_node, self, node, observe,
            was_fresh=was_fresh, ahead=ahead, keeps_devices=keeps_devices, waits=waits,
        )  # fmt: skip
        if self.exchange is None:
            return make()
        from stages.run.taking import take_or_make  # noqa: PLC0415 (of no use to those who share nothing)

        ending = take_or_make(self, self.exchange, node, observe, make=make, may_fetch=may_fetch, waits=waits)
        if "fetched_bytes" in ending and not keeps_devices():
            self.runner.give_up_devices()
        return ending

    def close(self) -> str:
        """End all processes; a sentence on what was being made just then, and what is kept of it."""
        with self._kept:
            return describe_left(self.runner.close(), self.store.root)

    def _keep(self, due: Due) -> None:
        """Let nobody delete what is going to be made, or what that is made from, until this run ends."""
        artifacts = {each: None for node in due.made for each in (node.artifact, *find_ancestors(node, self.graph))}
        with suppress(OSError):  # each node's own lease is then warned of
            self._kept.enter_context(self.leases.hold_all([*artifacts]))

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
            group=self._find_group(observe) if program.joins_hosts and self.machine.runner != RAY else "",
            observe=observe,
            waits=waits,
        )

    def remove(self, artifact: ArtifactId) -> bool:
        """Delete an artifact. False when there is none.

        Raises:
            StoreError: it is in use, or nobody can say whether it is.
        """
        try:
            holder = self._users.get(artifact)
        except OSError as error:
            raise StoreError(
                f"{artifact.title}: is kept, because it is not known who uses it ({error.filename}: {error.strerror}). "
                "Fix that and run it again."
            ) from error
        if holder is not None:
            raise StoreError(f"{artifact.title}: is kept, because it is in use by {holder}. Remove it after that.")
        return self.store.remove(artifact)

    @cached_property
    def _users(self) -> Mapping[ArtifactId, Holder]:
        return self.leases.in_use()

    def command_for(self, names: Sequence[str]) -> str:
        """The command line that asks for these tasks with the parameters of this build."""
        return command_for(names, self.overrides, *(("draft",) if self.is_draft else ()))

    def _find_group(self, observe: Callable[[Event], None]) -> str:
        def say(what: str) -> None:
            observe({"event": "phase", "name": what})

        return find_group(self.machine.hosts, platform=self.machine.platform, say=say)

    def _code_of(self, node: Node) -> Digest:
        return self.code[self.program_of(node).package]
