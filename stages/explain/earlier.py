"""The nearest earlier artifact of a node's video: what a node that has never been made is compared with.

An artifact does not know of which video it was. So it is what the link of the video leads to or was made from; else,
of the artifacts of the stage that were made from the same prompt (or file from elsewhere), the one that agrees with the
node in most parameters and components, and of several the one that was used last. Without such a one there is none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.keys import FROM_FILE, ArtifactId, JsonValue, Node
from stages.request.draft import name_draft
from stages.request.graph import Graph
from stages.run.one_maker import find_ancestors
from stages.store.inventory import Inventory
from stages.store.leftovers import links_to_artifacts
from stages.store.manifest import Manifest

_PROMPT = "prompt"  # the parameter by which people know a video, as in stages/store/listing.py


class Earlier:
    """Finds them in one store."""

    def __init__(self, root: Path, inventory: Inventory, graph: Graph, *, is_draft: bool = False) -> None:
        """`inventory` is that of the store in the folder `root`; `graph` is what is asked for: videos, or drafts."""
        self._is_draft = is_draft
        self._inventory = inventory
        self._graph = graph
        self._alike: dict[tuple[str, str], _Alike] = {}
        self._links = {link.stem: artifact for link, (artifact, _) in links_to_artifacts(root).items()}

    def find(self, node: Node) -> Manifest | None:
        """The manifest of the nearest earlier artifact, or None."""
        for video in self._graph.videos_of(node):
            link = name_draft(video) if self._is_draft else video
            lineage = self._inventory.ancestors([self._links[link]] if link in self._links else [])
            for artifact in lineage:
                if artifact.stage == node.stage and artifact != node.artifact and (found := self._manifest(artifact)):
                    return found
        return self._find_alike(node)

    def _find_alike(self, node: Node) -> Manifest | None:
        chain = self._graph.videos[self._graph.videos_of(node)[0]]
        origin = _origin(each.parameters for each in chain.values())
        if origin is None or (node.stage, origin) not in self._by_origin:
            return None
        needed = {node.artifact, *find_ancestors(node, self._graph)}
        mine = self._describe(each for each in chain.values() if each.artifact in needed)
        found = self._rank(node.stage, origin).find(mine, but=node.artifact)
        return None if found is None else self._manifest(found)

    def _rank(self, stage: str, origin: str) -> "_Alike":
        """The artifacts of a stage that were made from the same; those used last come first."""
        if (stage, origin) not in self._alike:

            def last_use(artifact: ArtifactId) -> tuple[float, str]:
                return self._inventory.last_uses[artifact], artifact.key

            in_order = sorted(self._by_origin[stage, origin], key=last_use, reverse=True)
            self._alike[stage, origin] = _Alike.of({each: self._describe_lineage(each) for each in in_order})
        return self._alike[stage, origin]

    @cached_property
    def _by_origin(self) -> Mapping[tuple[str, JsonValue], list[ArtifactId]]:
        """Artifacts by stage and what they were made from."""
        found: dict[tuple[str, JsonValue], list[ArtifactId]] = {}
        for artifact, entry in self._inventory.entries.items():
            if entry.manifest is not None:
                lineage = [self._manifest(each) for each in self._inventory.ancestors([artifact])]
                origin = _origin(manifest.parameters for manifest in lineage if manifest is not None)
                found.setdefault((artifact.stage, origin), []).append(artifact)
        return found

    def _manifest(self, artifact: ArtifactId) -> Manifest | None:
        entry = self._inventory.entries.get(artifact)
        return None if entry is None else entry.manifest

    def _describe_lineage(self, artifact: ArtifactId) -> Mapping[str, str]:
        """Those of an artifact and of all that it was made from."""
        lineage = map(self._manifest, self._inventory.ancestors([artifact]))
        return self._describe(found.node for found in lineage if found is not None)

    def _describe(self, nodes: Iterable[Node]) -> dict[str, str]:
        """Parameters and components of nodes, by dotted name."""
        found: dict[str, str] = {}
        for node in nodes:
            found |= {f"{node.stage}.{name}": repr(value) for name, value in node.parameters.items()}
            found |= {f"{node.stage} components.{name}": identity for name, identity in node.components.items()}
        return found


@dataclass(frozen=True)
class _Alike:
    """Artifacts that a node can be compared with. There can be thousands of both, so that not each is with each.

    Attributes:
        places: of each in their order; of several that agree in as much, the first is taken.
        holders: by name and value of what some of them have and others have not, those that have it.
    """

    places: Mapping[ArtifactId, int]
    holders: Mapping[tuple[str, str], Sequence[ArtifactId]]

    @staticmethod
    def of(described: Mapping[ArtifactId, Mapping[str, str]]) -> "_Alike":
        """`described` has the parameters and components of each, in order."""
        holders: dict[tuple[str, str], list[ArtifactId]] = {}
        for artifact, fields in described.items():
            for field in fields.items():
                holders.setdefault(field, []).append(artifact)
        places = {artifact: place for place, artifact in enumerate(described)}
        return _Alike(places, {field: own for field, own in holders.items() if len(own) < len(places)})

    def find(self, fields: Mapping[str, str], *, but: ArtifactId) -> ArtifactId | None:
        """The one that agrees in most of these; None where there is none besides `but`."""
        counts = Counter(each for field in fields.items() for each in self.holders.get(field, ()) if each != but)
        if not counts:  # all agree in as much
            return next((each for each in self.places if each != but), None)
        return max(counts, key=lambda each: (counts[each], -self.places[each]))


def _origin(parameters: Iterable[Mapping[str, JsonValue]]) -> str | None:
    """What a video was made from: its prompt, or a file from elsewhere; None where neither is known."""
    prompt = file = None
    for own in parameters:
        prompt = f"prompt {own[_PROMPT]}" if _PROMPT in own else prompt
        file = f"file {own[FROM_FILE]}" if FROM_FILE in own else file
    return prompt or file
