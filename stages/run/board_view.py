"""A board as lines for a terminal: stages as columns, then what runs, then the time. Pure; region.py draws them."""

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import timedelta

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from stages.machine.printable import printable
from stages.run.board import Board, RunningNode, StageCount
from stages.run.time_left import TimeLeft
from stages.store.quantities import show_seconds

_INDENT, _DETAIL_INDENT = "  ", "    "
_BAR_CELLS = 12
_LEAST_ROWS = 2  # beside the table; where there are fewer, the table is left out
_LEAST_WIDTH = 10  # of a wrapped line
_MAX_DETAIL = 3  # lines for what one node is at
_PLAIN, _DIM, _FAILED = Style(), Style(dim=True), Style(color="red")


@dataclass(frozen=True)
class Terminal:
    """What a terminal can show: its size in cells, and whether it has the characters of bars."""

    width: int
    height: int
    has_bars: bool = True

    def text(self, text: str) -> str:
        """A text that others may have written, as this terminal can show it."""
        shown = printable(text)
        return shown if self.has_bars else shown.encode("ascii", "backslashreplace").decode()


def draw(board: Board, terminal: Terminal, now: float) -> list[Text]:
    """The lines, each shorter than the terminal is wide, fewer than it is high; none where nothing is known or runs."""
    foot = [*_draw_time(board, now)]
    table = [*_draw_table(board.counts(), terminal.width)] if board.plan.nodes else []
    room = terminal.height - 1 - len(foot)
    if room - len(table) < _LEAST_ROWS:
        table = []
    entries = [_draw_node(node, terminal, now) for node in sorted(board.running.values(), key=_urgency)]
    lines = [*table, *_fit(entries, room - len(table)), *foot]
    for line in lines:
        line.truncate(max(terminal.width - 1, 0), overflow="ellipsis" if terminal.has_bars else "crop")
    return lines[: max(terminal.height - 1, 0)] if terminal.width > 1 else []


def _urgency(node: RunningNode) -> tuple[bool, float]:
    """Those that are worked on first, and then those that began first."""
    return node.is_waiting, node.begun


def _fit(entries: Sequence[Sequence[Text]], room: int) -> Iterator[Text]:
    """As much as there is room for: all of each node, else a line of each, else of the first ones."""
    if sum(map(len, entries)) <= room:
        yield from (line for entry in entries for line in entry)
        return
    shown = entries if len(entries) <= room else entries[: max(room - 1, 0)]
    spare = room - len(shown)
    for entry in shown:
        more = entry[1 : 1 + max(spare, 0)] if len(shown) == len(entries) else []
        spare -= len(more)
        yield from (entry[0], *more)
    if len(shown) < len(entries) and room > 0:
        yield Text(f"{_INDENT}and {len(entries) - len(shown)} more")


def _draw_table(counts: Mapping[str, StageCount], width: int) -> Iterator[Text]:
    """A column per stage, or, where they find no room beside each other, a line."""
    kinds = [each.name for each in fields(StageCount)]
    shown = [kind for kind in kinds if kind != "failed" or any(count.failed for count in counts.values())]
    label = len(_INDENT) + max(map(len, kinds))
    for gap in (3, 2, 1):
        sizes = [len(stage) + gap for stage in counts]
        if label + sum(sizes) < width:
            yield Text(" " * label + "".join(map(str.rjust, counts, sizes)), _DIM)
            for kind in shown:
                numbers = (
                    str(getattr(count, kind)).rjust(size) for count, size in zip(counts.values(), sizes, strict=True)
                )
                line = Text(f"{_INDENT}{kind}".ljust(label), _DIM)
                yield line.append("".join(numbers), _FAILED if kind == "failed" else _PLAIN)
            return
    for stage, count in counts.items():
        rest = [f"{number} {kind}" for kind in ("failed", "running") if (number := getattr(count, kind))]
        yield Text(f"{_INDENT}{stage} " + ", ".join([f"{count.done}/{sum(astuple(count))}", *rest]))


def _draw_node(node: RunningNode, terminal: Terminal, now: float) -> list[Text]:
    """A line on a node and how far it is, or more where that is long; and the link to its preview."""
    more = f" and {len(node.videos) - 1} more" if len(node.videos) > 1 else ""
    video = terminal.text("".join(node.videos[:1]))
    head = f"{_INDENT}{node.stage} {video}{more}  {timedelta(seconds=int(node.worked_s(now)))}"
    detail = terminal.text(_describe(node, now))
    bar = _draw_bar(node, has_bars=terminal.has_bars)
    for parts in ((head, bar, detail), (head, detail)):
        line = "  ".join(part for part in parts if part)
        if cell_len(line) < terminal.width:
            lines = [Text(line)]
            break
    else:
        room = max(terminal.width - len(_DETAIL_INDENT) - 1, _LEAST_WIDTH)
        wrapped = textwrap.wrap(detail, room, max_lines=_MAX_DETAIL, placeholder=" ...", break_on_hyphens=False)
        lines = [Text(head), *(Text(f"{_DETAIL_INDENT}{part}") for part in wrapped)]
    if node.preview is not None:
        link = Style(link=node.preview.absolute().as_uri())
        label = f"{_DETAIL_INDENT}preview: "
        shown = terminal.text(os.path.relpath(node.preview))
        is_whole = cell_len(label + shown) < terminal.width
        lines.append(Text(label).append(shown if is_whole else terminal.text(node.preview.name), link))
    return lines


def _describe(node: RunningNode, now: float) -> str:
    progress = node.progress
    left_s = progress.left_s(now)
    left = "" if left_s is None else f"{_whole(left_s)} left"
    what = progress.what or "waiting"
    return ", ".join(part for part in (what, progress.pace, left) if part)


def _draw_bar(node: RunningNode, *, has_bars: bool) -> str:
    progress = node.progress
    if not progress.total:
        return ""
    num_full = _BAR_CELLS * min(progress.done, progress.total) // progress.total
    full, empty = ("━", "─") if has_bars else ("=", "-")
    return full * num_full + empty * (_BAR_CELLS - num_full)


def _draw_time(board: Board, now: float) -> Iterator[Text]:
    """How long the run has taken, and how long it still takes."""
    if board.plan.nodes:
        yield Text(f"{_INDENT}{timedelta(seconds=int(now - board.begun))} so far, {_say_left(board.time_left(now))}")


def _say_left(left: TimeLeft) -> str:
    if left.seconds < 1:
        return "less than 1 s left" if left.is_of_all else "time left unknown"
    return f"{'about' if left.is_of_all else 'at least'} {_whole(left.seconds)} left"


def _whole(seconds: float) -> str:
    """Without tenths, which change too often to be read."""
    return f"{seconds:.0f} s" if seconds < 10 else show_seconds(seconds)
