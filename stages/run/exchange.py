"""What a run exchanges with the remote store: what is fetched in place of being made, and what is pushed meanwhile."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager

from stages.errors import StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.holder import Holder
from stages.remote.download import gathered_bytes
from stages.remote.pusher import Outcome, Pusher
from stages.remote.remote import RemoteStore
from stages.request.graph import Graph
from stages.run.demand import Demand
from stages.run.remote_nodes import RemoteNodes
from stages.run.runner import STARTING, Event, progress_in_mib
from stages.store.artifacts import Store
from stages.store.interface import ArtifactStore
from stages.store.verdict import Verdict


def open_exchange(
    graph: Graph,
    store: ArtifactStore,
    remote: RemoteStore,
    local: Callable[[Node], Verdict],
    code_of: Callable[[Node], Digest],
) -> "Exchange":
    """What passes between a store and a remote one; `local` and `code_of` as RemoteNodes has them."""
    assert isinstance(store, Store)
    return Exchange(RemoteNodes(graph, store, remote, local, code_of))


class Exchange:
    """One run's dealings with the remote store. May be used by several threads."""

    def __init__(self, nodes: RemoteNodes) -> None:
        """Asks and pushes nothing yet."""
        self.nodes = nodes
        self._pusher = Pusher(self.remote.push)

    @property
    def remote(self) -> RemoteStore:
        """The remote store."""
        return self.nodes.remote

    def judge(self, node: Node) -> Verdict:
        """The store's word on a node, or that it can be fetched; of a collected one, that is not asked."""
        return self.nodes.judge(node)

    def can_fetch(self, node: Node) -> bool:
        """Whether a node that is not fresh can be fetched in place of being made."""
        return self.nodes.can_fetch(node)

    def locate(self, node: Node, verdict: Verdict) -> Verdict:
        """A verdict of `judge` with what the remote store has of the node, also of a collected one."""
        return self.nodes.locate(node, verdict)

    def bytes_to_fetch(self, node: Node) -> int:
        """What a node that is fetched still takes of the disk: parts of it may have come before."""
        found = self.nodes.find(node)
        if found is None:
            return 0
        manifest = found.entry.manifest
        return max(manifest.size_bytes - gathered_bytes(self.nodes.store.root, manifest.digest), 0)

    def begin(self, titles: Collection[str]) -> None:
        """Ask for the nodes of a run, by their titles, at once."""
        self.nodes.prepare(self._nodes_of(titles))

    def settle(self, titles: Collection[str], demand: Demand) -> None:
        """Put down what the remote store says of nodes, by their titles, whose payloads nobody needs here."""
        self.nodes.record(node for node in self._nodes_of(titles) if not demand.is_due(node))

    def _nodes_of(self, titles: Collection[str]) -> Sequence[Node]:
        chosen = frozenset(titles)
        return [node for node in self.nodes.graph.all_nodes() if node.title in chosen]

    def take(
        self,
        node: Node,
        lease: AbstractContextManager[Holder | None],
        observe: Callable[[Event], None],
        watch_bytes: Callable[[int, int], None] = lambda _done_bytes, _total_bytes: None,
    ) -> Event | None:
        """Fetch a node's artifact, unless another run has it here meanwhile; None where it is to be made.

        Args:
            node: whose verdict is that it is remote.
            lease: of the node: several runs fetch it once.
            observe: sees how far it is.
            watch_bytes: called with the bytes that are here, and all of them.
        Returns:
            The event that ends it: its `fetched_bytes` came over the network.
        Raises:
            PayloadError: this artifact cannot be fetched.
            RemoteError: the remote store does not answer.
            StoreError: the store cannot take it.
            StageError: as `Build.lease`.
        """

        def show(done_bytes: int, total_bytes: int) -> None:
            watch_bytes(done_bytes, total_bytes)
            observe(progress_in_mib(done_bytes, total_bytes))

        with lease as before:
            if self.judge(node).is_fresh:
                return {"event": "result", "is_same_as_before": None, "made_by": str(before or "")}
            found = self.nodes.find(node) if self.can_fetch(node) else None
            if found is None:
                return None
            observe({"event": "phase", "name": STARTING})
            observe({"event": "phase", "name": "fetching"})
            self.nodes.record_ancestors(node)
            num_bytes = self.remote.fetch(node, found, show)
        return {"event": "result", "is_same_as_before": None, "fetched_bytes": num_bytes}

    def push_later(self, artifact: ArtifactId) -> None:
        """Push what has just been made, while the run goes on."""
        if self.remote.policy.is_read_only:
            return
        try:
            manifest = self.nodes.store.present_manifest(artifact)
        except StoreError:
            return  # it is gone already
        self._pusher.add(artifact, manifest.size_bytes if self.remote.policy.is_pushed_whole(manifest) else 0)

    @property
    def is_pushing(self) -> bool:
        """Whether something is still to be pushed."""
        return not self._pusher.is_idle

    def finish(self, observe: Callable[[int, int], None]) -> Outcome:
        """Wait until all that was made is pushed, or cannot be; `observe` sees the bytes that are there, and all."""
        return self._pusher.wait(observe)

    def outcome(self) -> Outcome:
        """What has become so far of what was made."""
        return self._pusher.outcome()
