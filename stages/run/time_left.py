"""The time that a run still takes: what its nodes were expected to take, corrected by the pace of the run itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean


@dataclass(frozen=True)
class Made:
    """A node that this run has made: its stage, the seconds that were expected of it, if any, and those it took."""

    stage: str
    expected_s: float | None
    took_s: float


@dataclass(frozen=True)
class Remaining:
    """A node that is to be made, or is being made.

    Attributes:
        stage: of the node.
        lane: nodes of one lane are made one after another, whatever `doit -n` says.
        expected_s: seconds of all of it; None where nothing says it.
        elapsed_s: seconds for which it has been worked on.
        left_s: seconds that its own pace leaves; None where it has none yet.
    """

    stage: str
    lane: str
    expected_s: float | None
    elapsed_s: float = 0.0
    left_s: float | None = None


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the last node is made: of all nodes, or, at least, of those about which something is known."""

    seconds: float
    is_of_all: bool


def estimate_left(made: Sequence[Made], remaining: Sequence[Remaining], *, num_at_once: int = 1) -> TimeLeft:
    """How long a run still takes.

    Args:
        made: by this run, in order.
        remaining: what it is to make.
        num_at_once: nodes that are made side by side, where they are of different lanes.
    """
    lanes: dict[str, float] = {}
    is_of_all = True
    for each in remaining:
        seconds = _left_of(each, made, remaining)
        is_of_all &= seconds is not None
        lanes[each.lane] = lanes.get(each.lane, 0.0) + (seconds or 0.0)
    total_s = sum(lanes.values())
    return TimeLeft(max([total_s / num_at_once, *lanes.values()]) if num_at_once > 1 else total_s, is_of_all)


def _left_of(node: Remaining, made: Sequence[Made], remaining: Sequence[Remaining]) -> float | None:
    if node.left_s is not None:
        return node.left_s
    whole_s = _whole_of(node, [each for each in made if each.stage == node.stage], remaining)
    return None if whole_s is None else max(whole_s - node.elapsed_s, 0.0)


def _whole_of(node: Remaining, alike: Sequence[Made], remaining: Sequence[Remaining]) -> float | None:
    """Seconds of all of a node, from those of its stage that were made before it."""
    if node.expected_s is not None:
        return node.expected_s * _correction(alike)
    if alike:  # the first one also started the process and compiled
        return mean(each.took_s for each in (alike[1:] or alike))
    paces = (each for each in remaining if each.stage == node.stage)
    return next((each.elapsed_s + each.left_s for each in paces if each.left_s is not None), None)


def _correction(alike: Sequence[Made]) -> float:
    """How many times as long as expected a stage takes. The expectation counts as much as one node that was made."""
    known = [(each.expected_s, each.took_s) for each in alike if each.expected_s]
    if not known:
        return 1.0
    prior_s = mean(expected_s for expected_s, _ in known)
    return (sum(took_s for _, took_s in known) + prior_s) / (sum(expected_s for expected_s, _ in known) + prior_s)
