"""What a remote store has of a run's nodes: the word of the store on a node, with what can be fetched in mind.

Which variant of a node is meant follows from the code and from the bytes of what it reads: those that are here, or that
would be fetched. So nodes are asked along their chain, from the first stage on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

from stages.keys import ArtifactId, Digest, Node
from stages.remote.catalog import Found
from stages.remote.layout import find_variant
from stages.remote.remote import RemoteStore
from stages.request.graph import Graph
from stages.store.artifacts import Store
from stages.store.verdict import NOT_PUSHED, Reason, State, Verdict

# States of a node in which its artifact here has a digest that counts, and those in which another is looked for. One
# that was forgotten is to be made.
_HERE: tuple[State, ...] = ("fresh", "collected")
_MISSING: tuple[State, ...] = ("absent", "stale", "corrupt")
_REPLACED: tuple[State, ...] = (*_MISSING, "collected")


@dataclass(frozen=True)
class RemoteNodes:
    """The nodes of a graph on a remote store.

    Attributes:
        graph: of the run.
        store: of this machine.
        remote: the remote store.
        local: the word of this machine's store on a node.
        code_of: fingerprint of the present code of what makes a node.
    """

    graph: Graph
    store: Store
    remote: RemoteStore
    local: Callable[[Node], Verdict]
    code_of: Callable[[Node], Digest]
    _prepared: set[ArtifactId] = field(default_factory=set, repr=False)

    @cached_property
    def _nodes(self) -> Mapping[ArtifactId, Node]:
        return {node.artifact: node for node in self.graph.all_nodes()}

    def prepare(self, nodes: Iterable[Node]) -> None:
        """Ask for many nodes at once, which takes a listing and as many requests at a time as are useful.

        Where all of them are fresh or collected here, nothing is asked.
        """
        by_stage: dict[str, list[Node]] = {stage: [] for stage in self.graph.pipeline.names}
        for node in nodes:
            if node.artifact not in self._prepared:
                self._prepared.add(node.artifact)
                by_stage[node.stage].append(node)
        if all(self.local(node).state in _HERE for found in by_stage.values() for node in found):
            return
        for found in by_stage.values():  # those of a stage are known by what those before it are
            missing = (node for node in found if self.local(node).state in _REPLACED)
            wanted = ((node.artifact, variant) for node in missing if (variant := self._variant(node)) is not None)
            if batch := [*wanted]:
                self.remote.prepare(batch)

    def judge(self, node: Node) -> Verdict:
        """The word of this machine's store on a node, or that it can be fetched.

        Of a collected one, that is not asked: mostly nobody has to read it.
        """
        verdict = self.local(node)
        return self.locate(node, verdict) if verdict.state in _MISSING else verdict

    def locate(self, node: Node, verdict: Verdict) -> Verdict:
        """A verdict with what the remote store has of the node, also of a collected one."""
        if verdict.state not in _REPLACED or (found := self.find(node)) is None:
            return verdict
        if found.is_whole:
            return Verdict("remote")
        return Verdict("collected", (Reason(NOT_PUSHED, None, None),))

    def can_fetch(self, node: Node) -> bool:
        """Whether the remote store has the payload of a node that is not fresh here, nor to be made in any case."""
        found = self.find(node) if self.local(node).state in _REPLACED else None
        return found is not None and found.is_whole

    def find(self, node: Node) -> Found | None:
        """What the remote store has of a node, for the present code and what the node reads; None: nothing."""
        if not self._prepared:
            self.prepare(self.graph.all_nodes())
        variant = self._variant(node)
        return None if variant is None else self._ask(node.artifact, variant)

    def _ask(self, artifact: ArtifactId, variant: Digest) -> Found | None:
        """One variant on the remote store; None also of a file that is not called as what its stage makes."""
        found = self.remote.find(artifact, variant)
        name = self.graph.pipeline[artifact.stage].makes.payload
        return found if found is not None and found.entry.manifest.payload == name else None

    def record(self, nodes: Iterable[Node]) -> None:
        """Put down in this machine's store what artifacts are, so that what was made from them is fresh."""
        for node in nodes:
            if self._is_missing(node) and (found := self.find(node)) is not None:
                self.remote.record(node, found, is_missing=partial(self._is_missing, node))

    def record_ancestors(self, node: Node) -> None:
        """Put down what a node was made from, so that it is fresh once it is fetched."""
        for artifact in node.input_artifacts:
            self.record_ancestors(self._nodes[artifact])
            self.record([self._nodes[artifact]])

    def _is_missing(self, node: Node) -> bool:
        return self.local(node).state in _MISSING

    def _variant(self, node: Node) -> Digest | None:
        digests = {artifact.stage: self._digest(artifact) for artifact in node.input_artifacts}
        known = {stage: digest for stage, digest in digests.items() if digest is not None}
        return find_variant(self.code_of(node), known) if len(known) == len(digests) else None

    def _digest(self, artifact: ArtifactId) -> Digest | None:
        """That of what a node reads, which is here or would be fetched; None of what is to be made."""
        node = self._nodes[artifact]
        state = self.local(node).state
        if state in _HERE:
            manifest = self.store.manifest(artifact)
            return None if manifest is None else manifest.digest
        if state not in _REPLACED:
            return None
        variant = self._variant(node)
        found = None if variant is None else self._ask(artifact, variant)
        return None if found is None else found.entry.manifest.digest
