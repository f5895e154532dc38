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
        least_s: seconds that the part of it takes that is being done, such as loading; the rest comes after it.
    """

    stage: str
    lane: str
    expected_s: float | None
    elapsed_s: float = 0.0
    left_s: float | None = None
    least_s: float = 0.0


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
    paces = {
        stage: _find_pace(stage, made, remaining, are_side_by_side=num_at_once > 1)
        for stage in {each.stage for each in remaining}
    }
    lanes: dict[str, float] = {}
    is_of_all = True
    for each in remaining:
        seconds = _left_of(each, paces[each.stage])
        is_of_all &= seconds is not None
        lanes[each.lane] = lanes.get(each.lane, 0.0) + max(seconds or 0.0, each.least_s)
    total_s = sum(lanes.values())
    return TimeLeft(max([total_s / num_at_once, *lanes.values()]) if num_at_once > 1 else total_s, is_of_all)


@dataclass(frozen=True)
class _Pace:
    """Of a stage in this run: how many times as long as expected its nodes take; and, if known, seconds of a node."""

    correction: float
    whole_s: float | None


def _find_pace(stage: str, made: Sequence[Made], remaining: Sequence[Remaining], *, are_side_by_side: bool) -> _Pace:
    """By the nodes of the stage that were made.

    Side by side, stages slow each other down: of one that has made nothing yet, the pace of all nodes counts.
    """
    alike = [each for each in made if each.stage == stage]
    if alike:  # the first one also started the process and compiled
        return _Pace(_correct(alike), mean(each.took_s for each in (alike[1:] or alike)))
    running = [
        Made(each.stage, each.expected_s, each.elapsed_s + each.left_s) for each in remaining if each.left_s is not None
    ]
    whole_s = next((each.took_s for each in running if each.stage == stage), None)
    return _Pace(_correct([*made, *running]) if are_side_by_side else 1.0, whole_s)


def _correct(alike: Sequence[Made]) -> float:
    """How many times as long as expected nodes took. The expectation counts as much as one node that was made."""
    known = [(each.expected_s, each.took_s) for each in alike if each.expected_s]
    if not known:
        return 1.0
    prior_s = mean(expected_s for expected_s, _ in known)
    return (sum(took_s for _, took_s in known) + prior_s) / (sum(expected_s for expected_s, _ in known) + prior_s)


def _left_of(node: Remaining, pace: _Pace) -> float | None:
    if node.left_s is not None:
        return node.left_s
    whole_s = pace.whole_s if node.expected_s is None else node.expected_s * pace.correction
    return None if whole_s is None else max(whole_s - node.elapsed_s, 0.0)
