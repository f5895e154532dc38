"""What is known of a run while it goes on: which nodes are done, running and left, and how long it still takes.

State without a terminal and without a clock: moments, in seconds since any one, come in as arguments. For one thread
at a time. board_view.py draws it, run_summary.py says what has become of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from stages.keys import Node
from stages.run.plan import Plan
from stages.run.progress import BYTES, Progress
from stages.run.runner import STARTING, Event
from stages.run.time_left import Made, Remaining, TimeLeft, estimate_left


class Ending(Enum):
    """What has become of a node."""

    MADE = "made"
    TAKEN = "made by another run"
    FETCHED = "fetched from the remote store"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNCHANGED = "found to be as needed"  # when its turn came
    BLOCKED = "not made, because something before it failed"


@dataclass(frozen=True)
class RunningNode:
    """A node whose making has begun.

    Attributes:
        title, stage: of the node.
        videos: that need it.
        begun: the moment.
        working_since: the moment since which a process works on it; None while it waits for its turn.
        progress: how far it is.
        preview: a file that shows what it is about to become; None without one.
    """

    title: str
    stage: str
    videos: tuple[str, ...]
    begun: float
    working_since: float | None = None
    progress: Progress = field(default_factory=Progress)
    preview: Path | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no process works on it yet."""
        return self.working_since is None

    def worked_s(self, now: float) -> float:
        """Seconds for which a process has worked on it; as long as none does, those for which it has been waiting."""
        return now - (self.begun if self.working_since is None else self.working_since)


@dataclass(frozen=True)
class StageCount:
    """Numbers of a stage's nodes in this run."""

    done: int = 0
    failed: int = 0
    running: int = 0
    left: int = 0


class Board:
    """The state of one run."""

    def __init__(self, now: float, *, num_at_once: int = 1) -> None:
        """A run that begins at `now`, of which no plan is known yet; `num_at_once` nodes are made side by side."""
        self.begun = now
        self._num_at_once = num_at_once
        self.plan = Plan()
        self.running: dict[str, RunningNode] = {}
        self.endings: dict[str, Ending] = {}
        self.made: list[Made] = []
        self._stages: dict[str, str] = {}  # by title, of each node that has begun

    def begin(self, node: Node, videos: tuple[str, ...], now: float) -> None:
        """Note that a node's turn has come."""
        self._stages[node.title] = node.stage
        self.running[node.title] = RunningNode(node.title, node.stage, videos, now)

    def observe(self, title: str, event: Event, now: float) -> None:
        """Note an event of a node that runs."""
        if (node := self.running.get(title)) is None:
            return
        if event["event"] == "preview":
            node = replace(node, preview=Path(str(event["path"])))
        if event["event"] == "phase" and event["name"] == STARTING:
            node = replace(node, working_since=now)
        elif event["event"] == "progress" and node.is_waiting:  # by hand, nobody starts a process
            node = replace(node, working_since=node.begun)
        self.running[title] = replace(node, progress=node.progress.after(event, now))

    def end(self, title: str, ending: Ending, now: float) -> float:
        """Note what has become of a node that runs; seconds for which it was worked on, 0 of one that does not run."""
        node = self.running.pop(title, None)
        if node is None:
            return 0.0
        self.endings[title] = ending
        if ending is Ending.MADE:
            planned = self.plan.nodes.get(title)
            self.made.append(Made(node.stage, planned.expected_s if planned else None, node.worked_s(now)))
        return node.worked_s(now)

    def settle(self, title: str, ending: Ending) -> None:
        """Note that a planned node's turn is over. Of one that has begun, `end` says so."""
        if title in self.plan.nodes and title not in self.endings and title not in self.running:
            self.endings[title] = ending

    def counts(self) -> Mapping[str, StageCount]:
        """Numbers by stage, in order; stages of which this run makes nothing are left out."""
        kinds: dict[str, Counter[str]] = {stage: Counter() for stage in self._all_stages()}
        for title, ending in self.endings.items():
            if kind := _COUNTED.get(ending):
                kinds[self._stage_of(title)][kind] += 1
        for node in self.running.values():
            kinds[node.stage]["left" if node.is_waiting else "running"] += 1
        for title in self._left():
            kinds[self._stage_of(title)]["left"] += 1
        return {stage: StageCount(**kind) for stage, kind in kinds.items() if kind}

    def count_by_stage(self, ending: Ending) -> Mapping[str, int]:
        """Numbers of the nodes with this ending, by stage, in order; stages without one are left out."""
        found = Counter(self._stage_of(title) for title, each in self.endings.items() if each is ending)
        return {stage: found[stage] for stage in self._all_stages() if found[stage]}

    def expected_s(self) -> float | None:
        """Seconds that the whole run was expected to take; None where nothing says it of one of its nodes."""
        nodes = [Remaining(node.stage, node.lane, node.expected_s) for node in self.plan.nodes.values()]
        expected = estimate_left([], nodes, num_at_once=self._num_at_once)
        return expected.seconds if expected.is_of_all and nodes else None

    def time_left(self, now: float) -> TimeLeft:
        """How long the run still takes."""
        nodes = self.plan.nodes
        remaining = [
            Remaining(nodes[title].stage, nodes[title].lane, nodes[title].expected_s) for title in self._left()
        ]
        for node in self.running.values():
            planned = nodes.get(node.title)
            remaining.append(
                Remaining(
                    node.stage,
                    planned.lane if planned else node.stage,
                    planned.expected_s if planned else None,
                    elapsed_s=0.0 if node.working_since is None else now - node.working_since,
                    **_left_of(node.progress, now),
                )
            )
        return estimate_left(self.made, remaining, num_at_once=self._num_at_once)

    def _left(self) -> Sequence[str]:
        return [title for title in self.plan.nodes if title not in self.endings and title not in self.running]

    def _all_stages(self) -> Sequence[str]:
        return [*dict.fromkeys((*self.plan.stages, *self._stages.values()))]

    def _stage_of(self, title: str) -> str:
        return self.plan.stage_of(title) or self._stages[title]


def _left_of(progress: Progress, now: float) -> Mapping[str, float]:
    """What the progress of a node says of the time that it still takes: all of it, or this part of it at least."""
    left_s = progress.left_s(now)
    if left_s is None:
        return {}
    return {"least_s" if progress.unit == BYTES else "left_s": left_s}


_COUNTED: Mapping[Ending, str] = {
    Ending.MADE: "done",
    Ending.TAKEN: "done",
    Ending.FETCHED: "done",
    Ending.UNCHANGED: "done",
    Ending.FAILED: "failed",
    Ending.INTERRUPTED: "failed",
}
