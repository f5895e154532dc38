"""How a running node looks: a progress bar on a terminal, otherwise a line from time to time.

The real implementation of screen.py. Imported when the first node runs, never by a run that has nothing to do.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.style import Style
from rich.text import Text

from stages.keys import Node
from stages.models.wording import name_some
from stages.run.runner import Event

_BYTES = "MiB"  # a unit of which there are many in a second
_REPLACEMENT = "\ufffd"  # of a character that cannot be printed
_TICK_S = 1e-9  # of the clock, within which two events can come


class NodeDisplay:
    """Shows one node's events. Call it with each."""

    def __init__(self, console: Console, node: Node, bar: Progress, line_every_s: float) -> None:
        """`bar` is shared by all nodes that run; where there is no terminal, lines take its place."""
        self._line_every_s = line_every_s
        self._console = console
        self._node = node
        self._bar = bar
        self._task = bar.add_task("", node=node.title, detail="waiting", total=None)
        self._start = self._last_line = time.monotonic()
        self._phase = ""
        self._first: tuple[int, float] | None = None  # units done and time when the phase's first unit was done

    def close(self) -> None:
        """Take the node's bar away."""
        self._bar.remove_task(self._task)

    def __call__(self, event: Event) -> None:
        """Show an event of job.py."""
        if event["event"] == "warning":
            _print(self._console, f"{self._node.title}: warning: {event['message']}")
        elif event["event"] == "note":
            _print(self._console, f"{self._node.title}: {event['message']}")
        elif event["event"] == "preview":
            _print_link(self._console, f"{self._node.title}: preview: ", Path(str(event["path"])))
        elif event["event"] == "phase":
            self._first = None
            self._phase = str(event["name"])
            self._show(self._phase, None, None)
        elif event["event"] == "progress":
            done, total, unit = int(str(event["done"])), int(str(event["total"])), str(event["unit"])
            what = f"{self._phase} {done}/{total} {unit}" if unit == _BYTES else f"{unit} {done}/{total}"
            self._show(f"{what}{self._speed(done, total, unit)}", done, total)

    def finish(self, result: Event) -> None:
        """Show the event that ended the run."""
        if "made_by" in result:
            _print(self._console, f"{self._node.title}  {_describe_maker(str(result['made_by']))}")
            return
        endings = {"None": "", "True": ", same bytes as before", "False": ", other bytes than before"}
        wall_time = duration(time.monotonic() - self._start)
        ending = endings[str(result["is_same_as_before"])]
        if result.get("was_damaged"):
            ending = ", the bytes that were there before they were damaged"
        _print(self._console, f"{self._node.title}  made in {wall_time}{ending}")

    def _speed(self, done: int, total: int, unit: str) -> str:
        """Pace and time left, from the second unit on: the first one includes compiling, or was there before."""
        if self._first is None and (done or unit == _BYTES):
            self._first = done, time.monotonic()
        if self._first is None or done == self._first[0]:
            return ""
        seconds = max(time.monotonic() - self._first[1], _TICK_S) / (done - self._first[0])
        pace = f"{1 / seconds:.1f} {unit}/s" if unit == _BYTES else f"{seconds:.2f} s/{unit}"
        return f", {pace}, {duration(seconds * (total - done))} left"

    def _show(self, detail: str, done: int | None, total: int | None) -> None:
        if self._console.is_terminal:
            (task,) = (task for task in self._bar.tasks if task.id == self._task)
            task.total = total  # to `update`, None means that the total stays
            self._bar.update(self._task, detail=_printable(detail), completed=done or 0)
        elif time.monotonic() - self._last_line >= self._line_every_s:
            self._last_line = time.monotonic()
            # of a phase nothing is known but when it began; its name alone is often that of the stage
            since = "" if total is not None else f", after {duration(self._last_line - self._start)}"
            _print(self._console, f"{self._node.title}: {detail}{since}")


class _Clock(ProgressColumn):
    """The time since a node began. rich's own stands still from the first phase on that is complete."""

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds."""
        return Text(str(timedelta(seconds=int(task.elapsed or 0))), style="progress.elapsed")


class Display:
    """What runs at present: a bar per node. May be used by several threads."""

    def __init__(self, console: Console, *, line_every_s: float = 10.0) -> None:
        """Shown on `console`; if that is no terminal, a node's progress is a line every `line_every_s` seconds."""
        self._line_every_s = line_every_s
        self._console = console
        node = TextColumn("  {task.fields[node]}", markup=False)
        columns = (node, BarColumn(), _Clock(), TextColumn("{task.fields[detail]}", markup=False))
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._lock = threading.Lock()
        self._num_shown = 0

    @contextmanager
    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> Iterator[NodeDisplay]:
        """Show that a node runs for `videos`, and why; what it prints stands above the bars."""
        _print(self._console, f"{node.title}  {name_some(videos)}  ({reason})")
        self._count(+1)
        shown = NodeDisplay(self._console, node, self._bar, self._line_every_s)
        try:
            yield shown
        finally:
            shown.close()
            self._count(-1)

    def close(self) -> None:
        """Take all bars away, also those of nodes that nobody waits for any more."""
        self._bar.stop()

    def _count(self, change: int) -> None:
        """Show the bars while a node runs, and only then: what others print would be drawn over."""
        with self._lock:
            self._num_shown += change
            if self._num_shown == 0:
                self._bar.stop()
            elif change > 0:
                self._bar.start()


def _print(console: Console, text: str) -> None:
    """Print a text as it is: it may quote what other users have written, in leases, locks and names of files."""
    console.print(_printable(text), markup=False, emoji=False, highlight=False)


def _print_link(console: Console, before: str, path: Path) -> None:
    """Print a path, as seen from here; terminals that can open files by a click get a link."""
    shown = Text(_printable(before))
    style = Style(link=path.absolute().as_uri()) if console.is_terminal else Style()
    shown.append(_printable(os.path.relpath(path)), style)
    console.print(shown, highlight=False)


def _printable(text: str) -> str:
    """A text without what steers a terminal."""
    return "".join(each if each.isprintable() or each == "\n" else _REPLACEMENT for each in text)


def _describe_maker(maker: str) -> str:
    return f"was made meanwhile by {maker}" if maker else "was made meanwhile by another run"


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def open_display(file: Any = None) -> Display:
    """A display on `file`, open for text, or on what stdout is when something is shown."""
    return Display(Console(soft_wrap=True, file=file))
