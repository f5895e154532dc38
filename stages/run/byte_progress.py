"""How far the reading of files is, for a person: a bar on a terminal, otherwise a line from time to time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from stages.machine.binary_units import show_binary
from stages.run.display import duration

_TICK_S = 1e-9  # of the clock, within which two readings can come


@contextmanager
def show_bytes(
    what: str, console: Console | None = None, *, line_every_s: float = 10.0
) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how many bytes have been read of how many, at what speed, and the time left.

    Args:
        what: is read, such as "verify".
        console: in place of one on stderr.
        line_every_s: seconds between two lines, where there is no terminal.
    Yields:
        What is to be called with the bytes that have been read, and all bytes.
    """
    console = console or Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console, what, line_every_s)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done_bytes, total_bytes: progress.update(task, completed=done_bytes, total=total_bytes)


class _Lines:
    """A line at most every few seconds, so that short work prints none."""

    def __init__(self, console: Console, what: str, every_s: float) -> None:
        self._console = console
        self._what = what
        self._every_s = every_s
        self._start = self._last = time.monotonic()

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        now = time.monotonic()
        if now - self._last < self._every_s or not done_bytes:
            return
        self._last = now
        left_s = (now - self._start) / done_bytes * (total_bytes - done_bytes)
        self._console.print(
            f"{self._what}: {size(done_bytes)} of {size(total_bytes)}, {speed(done_bytes, now - self._start)}, "
            f"{duration(left_s)} left",
            highlight=False,
        )


def size(size_bytes: int | float) -> str:
    """Bytes as people read them."""
    return show_binary(size_bytes, mib_digits=1)


def speed(size_bytes: int, seconds: float) -> str:
    """Bytes in seconds as people read them."""
    return f"{size(size_bytes / max(seconds, _TICK_S))}/s"
