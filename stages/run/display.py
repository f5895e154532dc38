"""How a run looks: on a terminal a board at its end and lines above it, otherwise lines from time to time.

The real implementation of screen.py. Imported when the first node runs, never by a run that has nothing to do.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from rich.console import Console

from stages.errors import StagesError
from stages.keys import Node
from stages.models.wording import name_some
from stages.run.board import Board, Ending
from stages.run.board_view import Terminal, draw
from stages.run.plan import Plan
from stages.run.region import Above, Region
from stages.run.run_summary import summarize
from stages.run.runner import Event
from stages.store.quantities import show_bytes

_REPLACEMENT = "\ufffd"  # of a character that cannot be printed
_DRAWN_EVERY_S = 0.5
_TICK_S = 0.1  # after which a board is drawn again that has been taken away for lines in quick succession
_MAX_SHARE = 0.01  # of a processor that drawing may take: of thousands of nodes a drawing is milliseconds
_STOPPED_S = 3.0  # without a tick: the process was stopped, and its shell has written below the board
_PLAN_S = 1.0  # for which the end waits until what earlier runs say has been read
_NOTHING_SAID = "absent"  # the reason of a node that is made for the first time


class NodeDisplay:
    """Shows one node's events. Call it with each."""

    def __init__(self, display: "Display", node: Node, videos: tuple[str, ...]) -> None:
        """Its node is on the display's board."""
        self._display = display
        self._node = node
        self._videos = videos
        self._start = self._last_line = time.monotonic()
        self.ending = Ending.INTERRUPTED  # until something else is known

    def __call__(self, event: Event) -> None:
        """Show an event of job.py."""
        title = self._node.title
        self._display.observe(title, event)
        if event["event"] == "warning":
            self._display.print(f"{title}: warning: {event['message']}")
        elif event["event"] == "note":
            self._display.print(f"{title}: {event['message']}")
        elif self._display.is_live:
            return
        elif event["event"] == "preview":
            self._display.print(f"{title}: preview: {os.path.relpath(Path(str(event['path'])))}")
        elif event["event"] in ("phase", "progress"):
            self._print_progress()

    def finish(self, result: Event) -> None:
        """Show the event that ended the run."""
        self.ending = _ending_of(result)
        ending, seconds = _describe(result), self._display.end(self._node.title, self.ending)
        verb = _VERBS.get(self.ending)
        taken = f"{verb} in {duration(seconds)}" if verb else ""
        videos = f"  {name_some(self._videos)}" if self._display.is_live else ""
        self._display.print(f"{self._node.title}{videos}  {taken}{ending}")

    def _print_progress(self) -> None:
        now = time.monotonic()
        if now - self._last_line >= self._display.line_every_s:
            self._last_line = now
            self._display.print(f"{self._node.title}: {self._display.describe(self._node.title, now - self._start)}")


class Display:
    """What runs at present, and what has become of the rest. May be used by several threads."""

    def __init__(self, console: Console, *, line_every_s: float = 10.0, num_at_once: int = 1) -> None:
        """Shown on `console`; if that is no terminal, a node's progress is a line every `line_every_s` seconds.

        `num_at_once` nodes are made side by side. Who asks for no colours, or has a terminal that can only print, gets
        lines too.
        """
        self.line_every_s = line_every_s
        self.is_live = console.is_terminal and not console.is_dumb_terminal and not console.no_color
        self._console = console
        self._region = Region(console)
        self._board = Board(time.monotonic(), num_at_once=num_at_once)
        self._lock = threading.RLock()  # of the three
        self._planning: threading.Thread | None = None
        self._shown = ExitStack()  # what is undone at the end
        self._is_open = False
        self._latest_drawing = self._next_drawing = 0.0

    def plan(self, basis: Plan, refine: Callable[[], Plan]) -> None:
        """As Screen's. `refine` is called by a thread, because it reads the store; in a pipe nobody would see it."""
        self._board.plan = basis
        if not self._console.is_terminal:
            return
        self._planning = threading.Thread(target=self._refine, args=[refine], daemon=True)
        self._planning.start()

    @contextmanager
    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> Iterator[NodeDisplay]:
        """Show that a node runs for `videos`, and why."""
        if not self.is_live or reason != _NOTHING_SAID:
            self.print(f"{node.title}  {name_some(videos)}  ({reason})")
        with self._lock:
            self._board.begin(node, videos, time.monotonic())
            self._open()
        view = NodeDisplay(self, node, videos)
        try:
            yield view
        except StagesError:
            view.ending = Ending.FAILED
            raise
        finally:
            self.end(node.title, view.ending)

    def settle(self, title: str, *, is_needless: bool) -> None:
        """As Screen's."""
        with self._lock:
            self._board.settle(title, Ending.UNCHANGED if is_needless else Ending.BLOCKED)

    @contextmanager
    def above(self) -> Iterator[None]:
        """As Screen's."""
        with self._lock:
            if not self._is_open:
                yield
                return
            self._region.clear()
            try:
                yield
            finally:
                self._console.file.flush()
                now = time.monotonic()
                if now - self._latest_drawing >= _TICK_S:
                    self._draw(now)

    def summarize(self) -> Sequence[str]:
        """As Screen's; nothing in a pipe, whose last lines scripts may read."""
        if not self._console.is_terminal:
            return ()
        if self._planning is not None:
            self._planning.join(_PLAN_S)
        with self._lock:
            return [*summarize(self._board, time.monotonic())]

    def close(self) -> None:
        """Take the board away, also nodes that nobody waits for any more."""
        with self._lock:
            self._is_open = False
            self._shown.close()

    def print(self, text: str) -> None:
        """Print a text as it is: it may quote what other users have written, in leases, locks and names of files."""
        with self.above():
            self._console.print(_printable(text), markup=False, emoji=False, highlight=False)

    def observe(self, title: str, event: Event) -> None:
        """Note an event of a node that runs."""
        with self._lock:
            self._board.observe(title, event, time.monotonic())

    def end(self, title: str, ending: Ending) -> float:
        """Note what has become of a node; seconds for which it was worked on, 0 if that was noted before."""
        with self._lock:
            return self._board.end(title, ending, time.monotonic())

    def describe(self, title: str, since_s: float) -> str:
        """How far a node is that has been running for so many seconds, in a line."""
        with self._lock:
            progress = self._board.running[title].progress
        if not progress.unit:
            # of a phase nothing is known but when it began; its name alone is often that of the stage
            return f"{progress.phase}, after {duration(since_s)}"
        left_s = progress.left_s(progress.latest)
        left = "" if left_s is None else f"{duration(left_s)} left"
        return ", ".join(part for part in (progress.what, progress.pace, left) if part)

    def _refine(self, refine: Callable[[], Plan]) -> None:
        try:
            plan = refine()
        except (StagesError, OSError):  # the store cannot be read: what it would add is left out, and the run goes on
            return
        with self._lock:
            self._board.plan = plan

    def _open(self) -> None:
        """Draw the board now, and then twice a second."""
        if not self.is_live or self._is_open:
            return
        self._is_open = True
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_same_terminal(stream, self._console.file):
                proxy = Above(stream, self.above)
                setattr(sys, name, proxy)
                self._shown.callback(_give_back, name, proxy)
        self._shown.callback(self._clear)
        self._draw(time.monotonic())
        ended = threading.Event()
        self._shown.callback(ended.set)
        threading.Thread(target=self._keep_drawing, args=[ended], daemon=True).start()

    def _keep_drawing(self, ended: threading.Event) -> None:
        latest = time.monotonic()
        while not ended.wait(_TICK_S):
            with self._lock:
                now = time.monotonic()
                if ended.is_set():
                    return
                if now - latest > _STOPPED_S:
                    self._region.forget()
                latest = now
                try:
                    if now >= self._next_drawing or self._region.is_bare:
                        self._draw(now)
                except OSError:  # the terminal is gone, and with it who looks; the run ends by SIGHUP, or goes on
                    return

    def _clear(self) -> None:
        with suppress(OSError):  # the terminal is gone: nothing is left to be cleared
            self._region.clear()

    def _draw(self, now: float) -> None:
        used_s = time.thread_time()
        width, height = self._console.size
        has_bars = self._console.encoding.startswith("utf")
        self._region.draw(draw(self._board, Terminal(width, height, has_bars=has_bars), now))
        self._latest_drawing = now
        self._next_drawing = now + max(_DRAWN_EVERY_S, (time.thread_time() - used_s) / _MAX_SHARE)


def _give_back(name: str, proxy: Above) -> None:
    """Undo that stdout or stderr has been replaced."""
    if getattr(sys, name) is proxy:
        proxy.finish()
        setattr(sys, name, proxy.rich_proxied_file)


def _is_same_terminal(stream: TextIO, other: Any) -> bool:
    """Whether what is printed to a stream is seen where the other's is."""
    try:
        return stream.isatty() and os.fstat(stream.fileno()).st_rdev == os.fstat(other.fileno()).st_rdev
    except (OSError, ValueError):  # none of the system: of a test or a notebook, or closed
        return False


def _printable(text: str) -> str:
    """A text without what steers a terminal."""
    return "".join(each if each.isprintable() or each == "\n" else _REPLACEMENT for each in text)


_VERBS: Mapping[Ending, str] = MappingProxyType({Ending.MADE: "made", Ending.FETCHED: "fetched"})


def _ending_of(result: Event) -> Ending:
    if "fetched_bytes" in result:
        return Ending.FETCHED
    return Ending.TAKEN if "made_by" in result else Ending.MADE


def _describe(result: Event) -> str:
    if "fetched_bytes" in result:
        return f", {show_bytes(int(str(result['fetched_bytes'])))}"
    return _describe_maker(str(result["made_by"])) if "made_by" in result else _describe_made(result)


def _describe_made(result: Event) -> str:
    if result.get("was_damaged"):
        return ", the bytes that were there before they were damaged"
    endings = {"None": "", "True": ", same bytes as before", "False": ", other bytes than before"}
    return endings[str(result["is_same_as_before"])]


def _describe_maker(maker: str) -> str:
    return f"was made meanwhile by {maker}" if maker else "was made meanwhile by another run"


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def open_display(file: Any = None, *, num_at_once: int = 1) -> Display:
    """A display on `file`, open for text, or on what stdout is when something is shown."""
    is_terminal = None if (file or sys.stdout).isatty() else False  # whatever asks for colours in a pipe
    return Display(Console(soft_wrap=True, file=file, force_terminal=is_terminal), num_at_once=num_at_once)
