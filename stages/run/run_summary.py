"""What has become of a run, in a few lines: what it made and in which time, and what it did not have to make."""

from collections import Counter
from collections.abc import Iterator, Mapping

from stages.run.board import Board, Ending
from stages.run.size import count
from stages.store.quantities import show_bytes, show_seconds

_NOT_MADE: Mapping[Ending, str] = {
    Ending.FAILED: "failed",
    Ending.INTERRUPTED: "interrupted",
    Ending.BLOCKED: "not made because of that",
    Ending.UNCHANGED: "still as needed",
}


def summarize(board: Board, now: float) -> Iterator[str]:
    """The lines; none of a run that has made nothing."""
    made, fetched = board.count_by_stage(Ending.MADE), board.count_by_stage(Ending.FETCHED)
    if not made and not fetched:
        return
    took = f" in {show_seconds(now - board.begun)}"
    parts = [f"made {_list(made)}{took}{_say_expected(board)}"] if made else []
    parts += [f"fetched {_list(fetched)}{'' if made else took}"] if fetched else []
    if taken := board.count_by_stage(Ending.TAKEN):
        parts.append(f"{_list(taken)} made by another run")
    parts += [f"{_list(found)} {what}" for ending, what in _NOT_MADE.items() if (found := board.count_by_stage(ending))]
    yield "; ".join(parts)
    yield from _say_reused(board)


def _list(numbers: Mapping[str, int]) -> str:
    return ", ".join(count(number, stage) for stage, number in numbers.items())


def _say_expected(board: Board) -> str:
    """What was expected of a run that has made all that it was to make, and nothing else."""
    endings = Counter(board.endings.values())
    is_as_planned = endings.keys() == {Ending.MADE} and board.endings.keys() == board.plan.nodes.keys()
    expected_s = board.expected_s()
    return f", expected about {show_seconds(expected_s)}" if is_as_planned and expected_s is not None else ""


def _say_reused(board: Board) -> Iterator[str]:
    """What was there, and what making it again would have taken."""
    reused = [each for title, each in board.plan.reused.items() if title not in board.endings]
    if not reused:
        return
    known = [each.rebuild_s for each in reused if each.rebuild_s is not None]
    saved = [f"about {show_seconds(sum(known))}"] if known else []
    saved.append(show_bytes(sum(each.size_bytes for each in reused)))
    yield f"reused {count(len(reused), 'artifact')}, which saved {' and '.join(saved)}"
