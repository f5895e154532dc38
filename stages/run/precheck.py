"""What is looked at before a run makes anything: its videos (checks.py), then its store (room.py)."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from stages.errors import StagesError, UnreadableError
from stages.keys import ArtifactId, JsonValue, Node
from stages.request.graph import Graph
from stages.run.checks import Reader, check_videos
from stages.run.demand import Demand
from stages.run.freshness import Due, Freshness
from stages.store.interface import ArtifactStore

if TYPE_CHECKING:
    from stages.run.exchange import Exchange

_NOTHING: Mapping[ArtifactId, int] = MappingProxyType({})


@dataclass(frozen=True)
class Precheck:
    """The checks of one run. A video is checked once.

    Attributes:
        graph: of the run.
        machine: the machine's settings (see request/tables.py).
        store: which is to take what is made.
        freshness: of the nodes and links in it.
        exchange: what passes between it and the remote one, if there is one.
    """

    graph: Graph
    machine: Mapping[str, JsonValue]
    store: ArtifactStore
    freshness: Freshness
    exchange: "Exchange | None" = None
    _checked: dict[str, StagesError | None] = field(default_factory=dict, repr=False)  # by video: its fault, or none

    def check(self, names: Collection[str], due: Due, demand: Demand) -> tuple[dict[str, StagesError], Collection[str]]:
        """Look at all that can be known before anything runs.

        Args:
            names: of the tasks of this run: titles of nodes, and videos.
            due: what of them is to be made.
            demand: of this run; of videos that cannot be made, it forgets what is for no other.
        Returns:
            What keeps videos from being made, by their names; and the names of the tasks that are left without them.
        Raises:
            StoreError: the store cannot take what would be made.
        """
        reader, videos = Reader(), self._find_videos(names)
        faults = self.find_faults(self._find_first(videos, due, demand), reader)
        if faults:
            names = self._leave(names, {*videos} - faults.keys(), faults, demand)
            due = self.freshness.find_due(names, demand)
        wanted = [(node, self._first_sound(node, faults)) for node in due.nodes]
        self.require_room(wanted, reader, has_links=bool(due.links), fetched=self._find_fetched(due))
        return faults, names

    def leave_unreadable(
        self, names: Collection[str], demand: Demand
    ) -> tuple[dict[str, StagesError], Collection[str]]:
        """As `check`, of the store alone: leave out the videos that have an artifact which cannot be read."""
        chosen, faults = frozenset(names), dict[str, StagesError]()
        for node in self.graph.all_nodes():
            if node.title in chosen:
                try:
                    self.freshness.verdict(node)
                except UnreadableError as error:
                    faults = {**dict.fromkeys(self.graph.videos_of(node), error), **faults}
        sound = {*self._find_videos(names)} - faults.keys()
        return faults, self._leave(names, sound, faults, demand)

    def find_faults(self, first: Mapping[str, str], reader: Reader | None = None) -> dict[str, StagesError]:
        """What keeps videos from being made, by their names; `first` names the stage from which on each is checked."""
        unknown = {name: stage for name, stage in first.items() if name not in self._checked}
        faults = check_videos(self.graph, self.machine, unknown, reader or Reader())
        self._checked.update({name: faults.get(name) for name in unknown})
        return {name: fault for name in first if (fault := self._checked[name])}

    def require_room(
        self,
        nodes: Sequence[tuple[Node, str]],
        reader: Reader | None = None,
        *,
        has_links: bool = False,
        fetched: Mapping[ArtifactId, int] = _NOTHING,
    ) -> None:
        """Find out whether the store can take what a run will bring into it.

        Args:
            nodes: that are due, each with a video that it is for.
            reader: one that has read what the videos have in common already, if there is one.
            has_links: whether links to videos will be made.
            fetched: of those of the nodes that are fetched, the bytes that will come.
        Raises:
            StoreError: it cannot; all that is wrong.
        """
        if not nodes and not has_links:
            return
        from stages.run.room import require_room  # noqa: PLC0415 (of no use when nothing is to be made)

        links = self.freshness.links.folder if has_links else None
        require_room(self.graph, self.machine, self.store, nodes, reader or Reader(), links=links, fetched=fetched)

    def _find_fetched(self, due: Due) -> dict[ArtifactId, int]:
        """The bytes that will come of each node that is fetched."""
        if self.exchange is None:
            return {}
        return {each.artifact: self.exchange.bytes_to_fetch(each) for each in due.nodes if each.title in due.fetched}

    def _leave(
        self, names: Collection[str], sound: Set[str], faults: Collection[str], demand: Demand
    ) -> Collection[str]:
        """The names of the tasks that are left for these videos, without those that cannot be made."""
        lost = {node.title for node in self.graph.all_nodes() if sound.isdisjoint(self.graph.videos_of(node))}
        left = [name for name in names if name not in lost and name not in faults]
        demand.keep(left)
        return left

    def _first_sound(self, node: Node, faults: Collection[str]) -> str:
        """The first video of a node that can be made."""
        return next(name for name in self.graph.videos_of(node) if name not in faults)

    def _find_videos(self, names: Collection[str]) -> Sequence[str]:
        """The videos that a run of tasks with these names is for; of a node for none of those named, all of its own."""
        chosen = frozenset(names)
        found = {name for name in self.graph.videos if name in chosen}
        for node in self.graph.all_nodes():
            if node.title in chosen and found.isdisjoint(videos := self.graph.videos_of(node)):
                found.update(videos)
        return [name for name in self.graph.videos if name in found]

    def _find_first(self, videos: Sequence[str], due: Due, demand: Demand) -> dict[str, str]:
        """Of each video, the stage of its first node that is due, and not only for what others make of it."""
        artifacts = {node.artifact for node in due.made}
        first: dict[str, str] = {}
        for name in videos:
            chain = self.graph.videos[name]
            own = {node.title for node in chain.values()}
            stages = (stage for stage, node in chain.items() if node.artifact in artifacts and demand.is_due(node, own))
            if stage := next(stages, None):
                first[name] = stage
        return first
