"""How a running node looks: a progress bar on a terminal, a line now and then elsewhere.

Imported when the first node runs, never by a run that has nothing to do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from stages.keys import Node
from stages.worker import Event

_LINE_EVERY_S = 10.0  # between two lines of a node's progress where there is no terminal


class NodeDisplay:
    """Shows one node's events. Call it with each."""

    def __init__(self, console: Console, node: Node, bar: Progress | None) -> None:
        """`bar` is None where there is no terminal."""
        self._console = console
        self._node = node
        self._bar = bar
        self._task = None if bar is None else bar.add_task("", node=node.title, detail="starting", total=None)
        self._start = self._last_line = time.monotonic()
        self._first: tuple[int, float] | None = None  # units done and time when the phase's first unit was done

    def __call__(self, event: Event) -> None:
        """Show an event of job.py."""
        if event["event"] == "warning":
            self._console.print(f"{self._node.title}: warning: {escape(str(event['message']))}", highlight=False)
        elif event["event"] == "phase":
            self._first = None
            self._show(str(event["name"]), None, None)
        elif event["event"] == "progress":
            done, total = int(str(event["done"])), int(str(event["total"]))
            self._show(f"{event['unit']} {done}/{total}{self._speed(done, total, str(event['unit']))}", done, total)

    def finish(self, result: Event) -> None:
        """Show the event that ended the run."""
        endings = {"None": "", "True": ", same bytes as before", "False": ", other bytes than before"}
        duration = _duration(time.monotonic() - self._start)
        ending = endings[str(result["is_same_as_before"])]
        self._console.print(f"{self._node.title}  made in {duration}{ending}", highlight=False)

    def _speed(self, done: int, total: int, unit: str) -> str:
        """Pace and time left, from the second unit on: the first one includes compiling."""
        if self._first is None and done:
            self._first = done, time.monotonic()
        if self._first is None or done == self._first[0]:
            return ""
        seconds = (time.monotonic() - self._first[1]) / (done - self._first[0])
        return f", {seconds:.2f} s/{unit}, {_duration(seconds * (total - done))} left"

    def _show(self, detail: str, done: int | None, total: int | None) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, detail=detail, completed=done or 0, total=total)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(f"{self._node.title}: {detail}", highlight=False)


@contextmanager
def show_node(node: Node, videos: tuple[str, ...], reason: str) -> Iterator[NodeDisplay]:
    """Show that a node runs for `videos`, and why; what it prints stands above the bar."""
    console = Console(soft_wrap=True)
    console.print(f"{node.title}  {', '.join(videos)}  ({escape(reason)})", highlight=False)
    if not console.is_terminal:
        yield NodeDisplay(console, node, None)
        return
    columns = (TextColumn("  {task.fields[node]}"), BarColumn(), TextColumn("{task.fields[detail]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield NodeDisplay(console, node, bar)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
