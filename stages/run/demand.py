"""Which nodes of a run are to be made: those that are not fresh, but of collected ones only those that are needed.

The payload of a collected artifact is gone (`doit gc`), and what was made from it is still fresh. It is made again when
a node that reads it is to be made, or when somebody has named it. The same holds of a remote one, which can be fetched;
and who fetches a node reads nothing of what it was made from.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from stages.keys import ArtifactId, Node
from stages.request.graph import Graph
from stages.request.selection import match_names
from stages.store.verdict import State, Verdict

_KNOWN: tuple[State, ...] = ("collected", "remote")  # what it is is known, and its payload is not here


class Demand:
    """The nodes of a run, asked one at a time; each answer is of the store as it is then."""

    def __init__(
        self,
        graph: Graph,
        verdict: Callable[[Node], Verdict],
        *,
        is_always: bool = False,
        takes_all: bool = False,
        can_fetch: Callable[[Node], bool] = lambda _node: False,
        is_read_elsewhere: bool = False,
    ) -> None:
        """Until `select`, all nodes count, and none has been named.

        Args:
            graph: the nodes of all videos.
            verdict: the store's word on a node.
            is_always: whether everything is made again.
            takes_all: whether what is remote is fetched, whether it is needed or not.
            can_fetch: whether a node that is not fresh can be fetched; asked of those alone that may be due.
            is_read_elsewhere: whether what can be fetched is read where it is, by hosts of a fleet.
        """
        self._graph = graph
        self._verdict = verdict
        self._is_always = is_always
        self._takes_all = takes_all
        self._can_fetch = can_fetch
        self._is_read_elsewhere = is_read_elsewhere
        self._titles: Collection[str] | None = None
        self._is_named = match_names(())

    def select(self, titles: Collection[str], named: Sequence[str] = ()) -> None:
        """Say what runs: the names of all tasks, and those that somebody has typed, which may be stages or patterns."""
        self._titles, self._is_named = frozenset(titles), match_names(named)

    def keep(self, titles: Collection[str]) -> None:
        """Say that of what runs only these are left."""
        self._titles = frozenset(titles)

    def is_due(self, node: Node, among: Collection[str] | None = None) -> bool:
        """Whether a node is to be made; with `among`, whether it were in a run of no other nodes than these titles."""
        return self._is_always or self._is_needed(node, self._verdict(node), among)

    def find_due(self, node: Node) -> Verdict | None:
        """The store's word on a node that is to be made, or that it can be fetched; None of one that is not due."""
        verdict = self._verdict(node)
        if not self._is_always and not self._is_needed(node, verdict, None):
            return None
        return Verdict("remote") if self.is_fetched(node) else verdict

    def _is_needed(self, node: Node, verdict: Verdict, among: Collection[str] | None) -> bool:
        """Whether a verdict makes a node due; of a collected one, whether something of this run reads its payload.

        A video's own payload is needed as it is.
        """
        if verdict.state not in _KNOWN or (self._takes_all and self._can_fetch(node)):
            return not verdict.is_fresh
        if node.stage == self._graph.pipeline.last.name or self._is_named(node):
            return True
        if self._is_read_elsewhere and self._can_fetch(node):
            return False
        readers = (each for each in self._readers.get(node.artifact, ()) if among is None or each.title in among)
        return any(self.is_made(each, among) for each in readers if self._titles is None or each.title in self._titles)

    def is_fetched(self, node: Node) -> bool:
        """Whether a node that is due can be fetched in place of being made."""
        return not self._is_always and not self._verdict(node).is_fresh and self._can_fetch(node)

    def is_made(self, node: Node, among: Collection[str] | None = None) -> bool:
        """Whether a node is due and cannot be fetched; `among` as for `is_due`."""
        verdict = self._verdict(node)
        return self._is_always or (self._is_needed(node, verdict, among) and not self._can_fetch(node))

    @cached_property
    def _readers(self) -> dict[ArtifactId, list[Node]]:
        """By artifact, the nodes that read it."""
        readers: dict[ArtifactId, list[Node]] = {}
        for node in self._graph.all_nodes():
            for artifact in node.input_artifacts:
                readers.setdefault(artifact, []).append(node)
        return readers
