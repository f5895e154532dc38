"""The plan of a run that has not begun: per node what becomes of it, why, and what it is expected to cost."""

import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

from stages.errors import StagesError, UnreadableError
from stages.explain.code_changes import find_changed_files
from stages.explain.earlier import Earlier
from stages.explain.lower_bound import LowerBounds
from stages.explain.outcomes import Outcome, changing_inputs, find_outcomes
from stages.explain.plan import Explanation, Step
from stages.explain.reasons import CODE, STATE, why_absent, why_not_fresh
from stages.geometry import VideoSize
from stages.history.expectation import Expectation, Forecast
from stages.history.runs import read_runs, settings_of, size_of_latents
from stages.history.work import describe_work, size_in
from stages.keys import ArtifactId, Node
from stages.machine.kept_programs import FOLDER as PROGRAMS
from stages.request.selection import match_names, select_nodes
from stages.run.build import Build
from stages.run.checks import Chain, Reader, payload_bytes
from stages.run.fingerprint import Fingerprinter
from stages.run.one_maker import find_ancestors
from stages.store.inventory import Inventory, take_inventory
from stages.store.records import with_origin
from stages.store.stat_cache import STAT_CACHE, StatCache
from stages.store.verdict import Reason, Verdict

LOWER_BOUND: Final = "lower bound of doit preflight"


def explain(build: Build, names: Sequence[str]) -> Explanation:
    """The plan of a run of the tasks with these names, as they are typed after `doit`; none means all.

    Raises:
        ParamsError: a name is nobody's.
        UnreadableError: something in the store cannot be read.
    """
    return _Explainer(build, names).explain()


def expect(build: Build, nodes: Iterable[Node]) -> tuple[Mapping[str, Expectation], Inventory]:
    """What making these nodes, in this order, is expected to take, by their titles; and what is in the store.

    Raises:
        UnreadableError: something in the store cannot be read.
    """
    explainer = _Explainer(build, ())
    return explainer.expect(nodes), explainer.inventory


class _Explainer:
    """Makes one explanation."""

    def __init__(self, build: Build, names: Sequence[str]) -> None:
        self._build, self._graph, self._names = build, build.graph, names
        self._is_named = match_names(names)
        self._fingerprinter = Fingerprinter(StatCache(build.store.root / STAT_CACHE))  # which is not saved
        self._lower_bounds = LowerBounds(build, self._fingerprinter)
        self._reader = Reader()

    def expect(self, nodes: Iterable[Node]) -> Mapping[str, Expectation]:
        return {node.title: self._expect(node) for node in nodes}

    def explain(self) -> Explanation:
        nodes, ignored = self._select()
        verdicts, unreadable = self._find_verdicts(nodes)
        nodes = self._without(nodes, unreadable)
        outcomes = find_outcomes(nodes, verdicts, self._is_wanted)
        if faults := self._find_faults(nodes, outcomes):
            nodes = self._without(nodes, faults)
            outcomes = find_outcomes(nodes, verdicts, self._is_wanted)
        faults = {**unreadable, **faults}
        steps = [self._explain(node, verdicts[node.artifact], outcomes, faults) for node in nodes]
        saved = [self.inventory.rebuild_s(step.node.artifact) for step in steps if step.outcome == "fresh"]
        known = [seconds for seconds in saved if seconds is not None]
        ending = [video for video in self._videos_of(nodes) if video not in faults]
        concerned = {video for step in steps for video in step.videos}
        asked = ending or [video for video in self._graph.videos if video in concerned]
        return Explanation(
            steps=steps,
            links=[video for video in ending if not self._build.freshness.is_linked(video)],
            prompts={video: self._graph.prompt_of(video) for video in asked},
            saved_s=sum(known),
            num_saved=len(known),
            faults={**faults, **(self._graph.faults if self._is_of_all else {})},
            ignored=ignored,
        )

    def _judge(self, node: Node) -> Verdict:
        """The store's word, or that a node can be fetched, which is asked of collected ones as well."""
        verdict, exchange = self._build.verdict(node), self._build.exchange
        if exchange is not None and not verdict.is_fresh:
            verdict = exchange.locate(node, verdict)
        return with_origin(verdict, self._build.store.folder(node.artifact))

    @property
    def _is_of_all(self) -> bool:
        """Whether all videos are asked for: by nothing, or by a stage."""
        return not self._names or any(name in self._graph.pipeline.names for name in self._names)

    def _select(self) -> tuple[list[Node], list[str]]:
        """The nodes of the run with all that they are made from, in their order, and the ignored tasks among them."""
        chosen = select_nodes(self._graph, self._names)
        needed = {artifact for node in chosen for artifact in (node.artifact, *find_ancestors(node, self._graph))}
        left_out, left, ignored = self._build.ignored.read(), list[Node](), list[str]()
        dropped: set[ArtifactId] = set()
        for node in self._graph.all_nodes():
            if node.artifact in needed:
                is_dropped = node.title in left_out or not dropped.isdisjoint(node.input_artifacts)
                if is_dropped:
                    dropped.add(node.artifact)
                    ignored.append(node.title)
                else:
                    left.append(node)
        return left, ignored

    def _find_verdicts(self, nodes: Iterable[Node]) -> tuple[dict[ArtifactId, Verdict], dict[str, StagesError]]:
        """The store's word on each node; and of videos that need one which cannot be read, why."""
        verdicts: dict[ArtifactId, Verdict] = {}
        faults: dict[str, StagesError] = {}
        for node in nodes:
            try:
                verdicts[node.artifact] = self._judge(node)
            except UnreadableError as error:
                faults = {**dict.fromkeys(self._graph.videos_of(node), error), **faults}
        return verdicts, faults

    def _without(self, nodes: list[Node], faulty: Mapping[str, StagesError]) -> list[Node]:
        """The nodes that a video needs which can be made."""
        return [node for node in nodes if not faulty.keys() >= {*self._graph.videos_of(node)}] if faulty else nodes

    def _is_wanted(self, node: Node) -> bool:
        """Whether a collected payload is made again for its own sake: as in stages/run/demand.py."""
        if node.stage == self._graph.pipeline.last.name or self._is_named(node):
            return True
        takes_all = self._build.remote is not None and self._build.remote.policy.takes_all
        return takes_all and self._judge(node).state == "remote"

    def _find_faults(self, nodes: Iterable[Node], outcomes: Mapping[ArtifactId, Outcome]) -> dict[str, StagesError]:
        """What keeps videos from being made, as the run would find it before it begins."""
        first: dict[str, str] = {}
        for node in nodes:
            if outcomes[node.artifact] in ("run", "waits"):
                for video in self._graph.videos_of(node):
                    first.setdefault(video, node.stage)
        wanted = self._videos_of(nodes) or first
        first = {video: stage for video, stage in first.items() if video in wanted}
        return self._build.precheck.find_faults(first, self._reader) if first else {}

    def _videos_of(self, nodes: Iterable[Node]) -> list[str]:
        """The videos that the run is to end with: those whose last node is part of it."""
        last = self._graph.pipeline.last.name
        found = {video for node in nodes if node.stage == last for video in self._graph.videos_of(node)}
        named = {video for name in self._names for video in self._graph.sweeps.get(name, (name,))}
        is_all = not self._names or any("*" in name for name in self._names)
        return [video for video in self._graph.videos if video in found and (is_all or video in named)]

    def _explain(
        self, node: Node, verdict: Verdict, outcomes: Mapping[ArtifactId, Outcome], faulty: Collection[str]
    ) -> Step:
        videos = tuple(video for video in self._graph.videos_of(node) if video not in faulty)
        outcome = outcomes[node.artifact]
        if outcome in ("fresh", "remote"):
            return Step(node, videos, outcome, expectation=Expectation(0.0, outcome))
        if outcome == "fetch":
            return Step(node, videos, outcome, (Reason(STATE, None, "remote"),), size_bytes=self._fetched_bytes(node))
        expectation = self._expect(node)
        known = self._size_bytes(node)
        size_bytes = expectation.size_bytes if known is None else known
        return Step(node, videos, outcome, self._find_reasons(node, verdict, outcomes), expectation, size_bytes)

    def _find_reasons(self, node: Node, verdict: Verdict, outcomes: Mapping[ArtifactId, Outcome]) -> tuple[Reason, ...]:
        stage = self._graph.pipeline[node.stage]
        if verdict.state == "absent":
            was_made = bool(self.inventory.readers.get(node.artifact))
            return why_absent(node, None if was_made else self._earlier.find(node), stage, was_made=was_made)
        entry = self.inventory.entries.get(node.artifact)
        manifest = None if entry is None else entry.manifest
        inputs = {} if manifest is None else {name: read.digest for name, read in manifest.inputs.items()}
        files: tuple[Reason, ...] = ()
        if any(reason.field == CODE for reason in verdict.reasons):
            package = self._build.program_of(node).package
            files = find_changed_files(self._build.store.folder(node.artifact), package, self._fingerprinter)
        waits = outcomes[node.artifact] == "waits"
        return why_not_fresh(verdict, changing_inputs(node, outcomes), inputs, files, waits=waits)

    def _expect(self, node: Node) -> Expectation:
        work = describe_work(node, self._graph.pipeline, self._size_of(node))
        expectation = self._forecast.expect(work, self._build.program_of(node), node.artifact)
        if expectation.seconds is None and (least_s := self._lower_bounds.find(node)) is not None:
            return Expectation(least_s, LOWER_BOUND)
        return expectation

    def _size_of(self, node: Node) -> VideoSize | None:
        chain = self._graph.videos[self._graph.videos_of(node)[0]]
        files = (self._graph.files.get(each.key) for each in chain.values() if not each.inputs)
        return next((size for each in chain.values() if (size := size_in(each.parameters))), None) or next(
            (size for file in files if file is not None and (size := size_of_latents(file))), None
        )

    def _fetched_bytes(self, node: Node) -> int | None:
        found = self._build.exchange and self._build.exchange.nodes.find(node)
        return found.entry.manifest.size_bytes if found else None

    def _size_bytes(self, node: Node) -> int | None:
        """Bytes of a payload that is not made yet, where its stage knows them."""
        video = self._graph.videos_of(node)[0]
        machine = self._build.machine.model_dump()
        chain = Chain(self._graph.videos[video], self._graph.checkpoints[video], machine, self._reader)
        try:
            return payload_bytes(chain, self._graph.pipeline, node) or None
        except StagesError:
            return None

    @cached_property
    def inventory(self) -> Inventory:
        return take_inventory(self._build.store.root)

    @cached_property
    def _earlier(self) -> Earlier:
        return Earlier(self._build.store.root, self.inventory, self._graph, is_draft=self._build.is_draft)

    @cached_property
    def _forecast(self) -> Forecast:
        root, machine = self._build.store.root, self._build.machine
        programs = _list_programs(root)
        return Forecast(
            runs=read_runs(root, self.inventory, self._graph.pipeline),
            host=socket.gethostname(),
            settings=settings_of(machine.model_dump()),
            is_kept=programs.__contains__,
            starts_ahead=machine.start_ahead == "auto",
        )


def _list_programs(root: Path) -> Collection[str]:
    """Names of the compiled programs in a store; none where the folder cannot be read."""
    try:
        return {path.name for path in (root / PROGRAMS).iterdir()}
    except OSError:
        return ()
