"""Which nodes and links are as needed: what doit asks about tasks, and what it shows of them in `doit info`."""

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

from stages.keys import Node
from stages.request.graph import Graph
from stages.run.answers import Answer
from stages.run.demand import Demand
from stages.run.reasons import explain_verdict
from stages.store.interface import ArtifactStore
from stages.store.records import with_origin
from stages.store.verdict import Verdict
from stages.store.video_links import VideoLinks


@dataclass(frozen=True)
class Due:
    """What a run has to make: nodes, stage by stage, and the links of these videos.

    Attributes:
        nodes: all of them.
        links: names of the videos.
        fetched: titles of the nodes that are fetched, and need nothing of what makes them.
    """

    nodes: Sequence[Node]
    links: Sequence[str]
    fetched: Set[str] = frozenset()

    @property
    def made(self) -> Sequence[Node]:
        """The nodes that are not fetched."""
        return [node for node in self.nodes if node.title not in self.fetched]

    def __bool__(self) -> bool:
        return bool(self.nodes or self.links)


@dataclass(frozen=True)
class Freshness:
    """The nodes and links of a run, as they are in its store.

    Attributes:
        graph: of the run.
        store: where the artifacts are.
        links: the links to the videos.
        verdict: what the store says of a node under the present code.
    """

    graph: Graph
    store: ArtifactStore
    links: VideoLinks
    verdict: Callable[[Node], Verdict]
    _settled: set[str] = field(default_factory=set, repr=False)  # titles of nodes, and names of videos

    def find_due(self, names: Collection[str], demand: Demand) -> Due:
        """What of the tasks with these names, titles of nodes and videos, is to be made."""
        chosen = frozenset(names)  # there can be thousands
        nodes = [node for node in self.graph.all_nodes() if node.title in chosen and demand.is_due(node)]
        links = [video for video in self.graph.videos if video in chosen and not self.is_linked(video)]
        return Due(nodes, links, frozenset(node.title for node in nodes if demand.is_fetched(node)))

    def settle(self, names: Iterable[str]) -> None:
        """Take note of nodes and links that are as needed, in a run that makes nothing: they are not asked again."""
        self._settled.update(names)

    def needs_no_run(self, node: Node, demand: Demand) -> bool:
        """Whether a node is as needed."""
        return node.title in self._settled or not demand.is_due(node)

    def is_linked(self, video: str) -> bool:
        """Whether a video's link points to the video of the present parameters."""
        artifact = self.graph.videos[video][self.graph.pipeline.last.name].artifact
        return video in self._settled or self.links.points_to(video, artifact)

    def explain(self, node: Node, verdict: Verdict) -> str:
        """A verdict in words: its reasons, or its state where there are none."""
        pipeline = self.graph.pipeline
        payload = self.store.folder(node.artifact) / pipeline[node.stage].makes.payload
        verdict = with_origin(verdict, payload.parent)
        return explain_verdict(verdict, payload=payload, program=pipeline.program_of(node).name)

    def of_node(self, node: Node, demand: Demand) -> Answer:
        """What doit asks whether a node is up to date, and shows in `doit info`."""

        def explain() -> str:
            return f"the store: {node.title} is {self.explain(node, self.verdict(node))}"

        return Answer(partial(self.needs_no_run, node, demand), explain, partial(demand.is_fetched, node))

    def of_link(self, video: str) -> Answer:
        """The same for the link to a video."""
        is_linked = partial(self.is_linked, video)
        return Answer(
            is_linked,
            lambda: f"the store: the link of {video} {'points' if is_linked() else 'does not point'} to its video",
        )
