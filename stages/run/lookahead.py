"""Which program comes next: its process can be started while another one works."""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import cached_property

from stages.keys import Node
from stages.machine.host_memory import available_memory_bytes
from stages.pipeline.stage import ACCELERATOR, Program

# Of free memory for a process that is started ahead, which takes up to 0.5 GiB to import its libraries.
_ROOM_BYTES = 2 << 30


def has_room_ahead(start_ahead: str) -> bool:
    """Whether a process may be started ahead, by the machine's setting of that name and by its free memory."""
    return start_ahead == "auto" and available_memory_bytes() >= _ROOM_BYTES


class Lookahead:
    """The nodes of a run in their order, and the programs that have something to make."""

    def __init__(
        self, nodes: Iterable[Node], program_of: Callable[[Node], Program], is_due: Callable[[Node], bool]
    ) -> None:
        """Nothing is asked of the store yet.

        Args:
            nodes: of all videos, in the order in which they are made.
            program_of: what makes a node.
            is_due: whether a node is to be made, by what is in the store now; that may change before its turn comes.
        """
        self._nodes = nodes
        self._titles: Collection[str] = ()
        self._program_of = program_of
        self._is_due = is_due
        self._next: dict[Program, Program | None] = {}
        self._completed: set[str] = set()
        self._lock = threading.Lock()  # of what `complete` notes

    def select(self, titles: Collection[str]) -> None:
        """Name the tasks of this run, in order; those that are no node's do not count. Before, nothing is next."""
        self._titles, self._next = titles, {}
        for name in ("_order", "_left", "_programs"):
            self.__dict__.pop(name, None)

    def after(self, node: Node) -> Program | None:
        """The first program after that of `node` that has something to make, or None."""
        present = self._program_of(node)
        if present not in self._next:
            self._next[present] = self._find_next(present)
        return self._next[present]

    def complete(self, node: Node) -> bool:
        """Note that a node has been made, or has failed; whether an accelerator is needed for another one of this run.

        A node that is found not to be due is not looked at again. If that changes, its process is started once more.
        """
        with self._lock:
            self._completed.add(node.title)
            while self._left:
                if self._left[0].title not in self._completed and self._is_due(self._left[0]):
                    return True
                self._left.popleft()
            return False

    @cached_property
    def _order(self) -> list[Node]:
        """The nodes of the run in their order."""
        by_title = {node.title: node for node in self._nodes}
        return [by_title[title] for title in self._titles if title in by_title]

    @cached_property
    def _left(self) -> deque[Node]:
        """Those that are made on an accelerator, and may have to be made still."""
        return deque(node for node in self._order if self._program_of(node).device == ACCELERATOR)

    @cached_property
    def _programs(self) -> dict[Program, list[Node]]:
        """The nodes of the run by their programs, all in their order."""
        programs: dict[Program, list[Node]] = {}
        for node in self._order:
            programs.setdefault(self._program_of(node), []).append(node)
        return programs

    def _find_next(self, present: Program) -> Program | None:
        programs = [*self._programs]
        later = programs[programs.index(present) + 1 :] if present in programs else []
        return next((program for program in later if any(map(self._is_due, self._programs[program]))), None)
