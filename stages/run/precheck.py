"""What is looked at before a run makes anything: its videos (checks.py), then its store (room.py)."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from stages.errors import StagesError
from stages.keys import ArtifactId, JsonValue, Node
from stages.request.graph import Graph
from stages.run.checks import Reader, check_videos
from stages.run.freshness import Freshness
from stages.store.interface import ArtifactStore


@dataclass(frozen=True)
class Precheck:
    """The checks of one run. A video is checked once.

    Attributes:
        graph: of the run.
        machine: the machine's settings (see request/tables.py).
        store: which is to take what is made.
        freshness: of the nodes and links in it.
    """

    graph: Graph
    machine: Mapping[str, JsonValue]
    store: ArtifactStore
    freshness: Freshness
    _checked: dict[str, StagesError | None] = field(default_factory=dict, repr=False)  # by video: its fault, or none

    def check(self, names: Collection[str], is_due: Callable[[Node], bool]) -> dict[str, StagesError]:
        """What keeps videos from being made, by their names, as far as it can be known before anything runs.

        Args:
            names: of the tasks of this run: titles of nodes, and videos; without any video, all are looked at.
            is_due: whether a node is to be made.
        Raises:
            StoreError: the store cannot take what would be made.
        """
        nodes = [node for node in self.graph.all_nodes() if node.title in names]
        due = {node.artifact for node in nodes if is_due(node)}
        reader = Reader()
        faults = self.find_faults(self._find_first(names, due), reader) if due else {}
        links = [name for name in self.graph.videos if name in names and name not in faults]
        has_links = not all(self.freshness.is_linked(name) for name in links)
        wanted = [(node, self._first_sound(node, faults)) for node in nodes if node.artifact in due]
        self.require_room([(node, video) for node, video in wanted if video], reader, has_links=has_links)
        if not due and not has_links:
            self.freshness.settle([*(node.title for node in nodes), *links])
        return faults

    def find_faults(self, first: Mapping[str, str], reader: Reader | None = None) -> dict[str, StagesError]:
        """What keeps videos from being made, by their names; `first` names the stage from which on each is checked."""
        unknown = {name: stage for name, stage in first.items() if name not in self._checked}
        faults = check_videos(self.graph, self.machine, unknown, reader or Reader())
        self._checked.update({name: faults.get(name) for name in unknown})
        return {name: fault for name in first if (fault := self._checked[name])}

    def require_room(
        self, nodes: Sequence[tuple[Node, str]], reader: Reader | None = None, *, has_links: bool = False
    ) -> None:
        """Find out whether the store can take what these nodes, each for a video, and links to videos will make.

        `reader` is one that has read what the videos have in common already, if there is one.

        Raises:
            StoreError: it cannot; all that is wrong.
        """
        if not nodes and not has_links:
            return
        from stages.run.room import require_room  # noqa: PLC0415 (of no use when nothing is to be made)

        links = self.freshness.links.folder if has_links else None
        require_room(self.graph, self.machine, self.store, nodes, reader or Reader(), links=links)

    def _first_sound(self, node: Node, faults: Collection[str]) -> str:
        """The first video of a node that can be made, or ""."""
        return next((name for name in self.graph.videos_of(node) if name not in faults), "")

    def _find_first(self, names: Collection[str], due: Set[ArtifactId]) -> dict[str, str]:
        """Of each video that is to be checked, the stage of its first node that is due."""
        first: dict[str, str] = {}
        for name in [name for name in self.graph.videos if name in names] or self.graph.videos:
            stages = (stage for stage, node in self.graph.videos[name].items() if node.artifact in due)
            if stage := next(stages, None):
                first[name] = stage
        return first
