"""The plan of a run that has not begun, as plain values: what becomes of each node, why, and what it would cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from stages.errors import StagesError
from stages.explain.outcomes import Outcome
from stages.history.expectation import UNKNOWN, Expectation
from stages.keys import JsonValue, Node
from stages.store.verdict import Reason

_RUNS: Mapping[Outcome, bool | None] = MappingProxyType(
    {"run": True, "fresh": False, "remote": False, "fetch": False, "waits": None}
)


@dataclass(frozen=True)
class Step:
    """One node of the plan.

    Attributes:
        node: what it is.
        videos: that need it.
        outcome: "run", "fresh", "fetch", from the remote store, "remote", there and of no need here, or "waits": it
            runs unless what it reads comes out with the same bytes.
        reasons: why; none of a fresh one.
        expectation: what it takes, if it runs.
        size_bytes: of what it writes then; None where nothing says it.
    """

    node: Node
    videos: tuple[str, ...]
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    expectation: Expectation = field(default_factory=lambda: Expectation(None, UNKNOWN))
    size_bytes: int | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """A node of `doit explain --json`. Its fields are an interface; `runs` is null of one that waits."""
        seconds = self.expectation.seconds
        return {
            "stage": self.node.stage,
            "key": self.node.key,
            "videos": [*self.videos],
            "verdict": self.outcome,
            "runs": _RUNS[self.outcome],
            "reasons": [{"field": each.field, "before": each.before, "now": each.now} for each in self.reasons],
            "expected_s": None if seconds is None else round(seconds, 3),
            "expected_from": self.expectation.source,
        }


@dataclass(frozen=True)
class Explanation:
    """The plan of a run.

    Attributes:
        steps: its nodes, in the order in which they are made.
        links: videos whose link does not lead to what the present parameters make; the run will see to that.
        prompts: of each video that is asked for and can be made, its prompt; "" of one without.
        saved_s: seconds that making the fresh nodes took; `num_saved` of them, those of which that is known.
        faults: of videos that cannot be made, why; none of their nodes is in the plan, but for those of others.
        ignored: tasks that `doit ignore` leaves out.
    """

    steps: Sequence[Step]
    links: Sequence[str]
    prompts: Mapping[str, str]
    saved_s: float
    num_saved: int
    faults: Mapping[str, StagesError]
    ignored: Sequence[str]

    def of_outcome(self, outcome: Outcome) -> Sequence[Step]:
        """The steps of which that becomes."""
        return [step for step in self.steps if step.outcome == outcome]
