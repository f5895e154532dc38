"""Which program comes next: its process can be started while another one works."""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property

from stages.keys import Node
from stages.pipeline.stage import Program


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

    def select(self, titles: Collection[str]) -> None:
        """Name the tasks of this run, in order; those that are no node's do not count. Before, nothing is next."""
        self._titles, self._next = titles, {}
        self.__dict__.pop("_programs", None)

    def after(self, node: Node) -> Program | None:
        """The first program after that of `node` that has something to make, or None."""
        present = self._program_of(node)
        if present not in self._next:
            self._next[present] = self._find_next(present)
        return self._next[present]

    @cached_property
    def _programs(self) -> dict[Program, list[Node]]:
        """The nodes of the run by their programs, all in their order."""
        by_title = {node.title: node for node in self._nodes}
        programs: dict[Program, list[Node]] = {}
        for title in self._titles:
            if title in by_title:
                programs.setdefault(self._program_of(by_title[title]), []).append(by_title[title])
        return programs

    def _find_next(self, present: Program) -> Program | None:
        programs = [*self._programs]
        later = programs[programs.index(present) + 1 :] if present in programs else []
        return next((program for program in later if any(map(self._is_due, self._programs[program]))), None)
