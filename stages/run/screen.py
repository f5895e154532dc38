"""Where running nodes are shown: an interface, and its implementation for a person who watches doit.

Loads nothing slow, so that a run that has nothing to do can have a screen. display.py draws.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from stages.keys import Node
from stages.run.runner import Event

if TYPE_CHECKING:
    from stages.run.plan import Plan


@runtime_checkable  # tests check annotations on every call
class NodeView(Protocol):
    """Shows one node that is running."""

    def __call__(self, event: Event) -> None:
        """Show an event of the node's process: a phase, progress or a warning (job.py)."""
        ...

    def finish(self, result: Event) -> None:
        """Show the event that ended the job."""
        ...


@runtime_checkable
class Screen(Protocol):
    """Shows all nodes that are running. May be used by several threads."""

    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> AbstractContextManager[NodeView]:
        """Show `node` for the time of the block: the videos that need it, and why it is due."""
        ...

    def plan(self, basis: "Plan", refine: "Callable[[], Plan]") -> None:
        """Say before the first node what is to be made; `refine` adds what earlier runs say of it, if it is asked."""
        ...

    def settle(self, title: str, *, is_needless: bool) -> None:
        """Say that a node's turn is over: it was as needed, or could not be made. One that was shown has ended."""
        ...

    def above(self) -> AbstractContextManager[None]:
        """Keep what is shown away from what is printed in the block, which ends with a line break."""
        ...

    def summarize(self) -> Sequence[str]:
        """What has become of the run, as lines."""
        ...

    def close(self) -> None:
        """Stop showing anything, also nodes whose blocks have not ended."""
        ...


def _open_display() -> Screen:
    from stages.run.display import open_display  # noqa: PLC0415 (slow, and of no use where nothing has to be done)

    return open_display()


class LazyScreen:
    """A screen that is opened when the first node is shown."""

    def __init__(self, open_screen: Callable[[], Screen] = _open_display) -> None:
        """`open_screen` is called at most once; by default it opens a display on stdout."""
        self._open_screen = open_screen
        self._lock = threading.Lock()
        self._screen: Screen | None = None
        self._plan: tuple[Plan, Callable[[], Plan]] | None = None

    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> AbstractContextManager[NodeView]:
        """As Screen's."""
        with self._lock:
            if self._screen is None:
                self._screen = self._open_screen()
                if self._plan is not None:
                    self._screen.plan(*self._plan)
        return self._screen.show(node, videos, reason)

    def plan(self, basis: "Plan", refine: "Callable[[], Plan]") -> None:
        """As Screen's. Opens nothing."""
        self._plan = basis, refine

    def settle(self, title: str, *, is_needless: bool) -> None:
        """As Screen's. Opens nothing."""
        if self._screen is not None:
            self._screen.settle(title, is_needless=is_needless)

    def above(self) -> AbstractContextManager[None]:
        """As Screen's. Opens nothing."""
        return nullcontext() if self._screen is None else self._screen.above()

    def summarize(self) -> Sequence[str]:
        """As Screen's; nothing of a run that has shown nothing."""
        return () if self._screen is None else self._screen.summarize()

    def close(self) -> None:
        """As Screen's. Opens nothing."""
        with self._lock:
            if self._screen is not None:
                self._screen.close()


class SilentScreen:
    """A screen that shows nothing, for those who want no word of a run."""

    @contextmanager
    def show(self, node: Node, videos: tuple[str, ...], reason: str) -> Iterator["SilentScreen"]:  # noqa: ARG002
        """As Screen's."""
        yield self

    def __call__(self, event: Event) -> None:
        """As NodeView's."""

    def finish(self, result: Event) -> None:
        """As NodeView's."""

    def plan(self, basis: "Plan", refine: "Callable[[], Plan]") -> None:
        """As Screen's."""

    def settle(self, title: str, *, is_needless: bool) -> None:
        """As Screen's."""

    def above(self) -> AbstractContextManager[None]:
        """As Screen's."""
        return nullcontext()

    def summarize(self) -> Sequence[str]:
        """As Screen's: nothing."""
        return ()

    def close(self) -> None:
        """As Screen's."""
