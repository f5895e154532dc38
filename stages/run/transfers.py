"""Where the artifacts of the present parameters are, here and on the remote store, and what is moved by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from stages.errors import ParamsError, RemoteError, StagesError
from stages.keys import ArtifactId, Node
from stages.remote.catalog import Found
from stages.remote.download import PayloadError
from stages.remote.in_parallel import map_in_parallel
from stages.remote.layout import variant_of
from stages.remote.pusher import Pusher
from stages.request.selection import match_names, select_nodes
from stages.run.build import Build
from stages.run.exchange import Exchange
from stages.run.one_maker import find_ancestors
from stages.run.runner import Event
from stages.store.manifest import Manifest

_NUM_AT_ONCE = 4  # artifacts that are fetched at a time, each in parts


@dataclass(frozen=True)
class Place:
    """Where the artifact of a node is.

    Attributes:
        node: of the present parameters.
        here: its manifest, where it is here and as needed; None where it is not.
        is_whole_here: whether its payload is here, too.
        there: what the remote store has of it, for the same code and inputs; None where it has nothing.
    """

    node: Node
    here: Manifest | None
    is_whole_here: bool
    there: Found | None

    @property
    def is_whole_there(self) -> bool:
        """Whether the remote store has its payload."""
        return self.there is not None and self.there.is_whole

    @property
    def size_bytes(self) -> int:
        """Of its payload; 0 where nothing says it."""
        manifest = self.here or (self.there.entry.manifest if self.there else None)
        return manifest.size_bytes if manifest else 0


def require_exchange(build: Build) -> Exchange:
    """What passes between the store and the remote one. Raises ParamsError: there is no remote store."""
    if build.exchange is None:
        raise ParamsError(
            'params/machine.toml: there is no remote store. Name one: `remote = "s3://bucket/prefix"`, or gs://, '
            "az://, or file:///mnt/shared (docs/team.md)."
        )
    return build.exchange


def find_places(build: Build, exchange: Exchange, names: Sequence[str]) -> list[Place]:
    """Where the artifacts of these tasks are, with all that they are made from; none means all.

    Raises:
        RemoteError: the remote store does not answer.
        ParamsError: a name is nobody's.
    """
    exchange.remote.require()
    chosen = select_nodes(build.graph, names)
    wanted = {each for node in chosen for each in (node.artifact, *find_ancestors(node, build.graph))}
    nodes = [node for node in build.graph.all_nodes() if node.artifact in wanted]
    exchange.begin([node.title for node in nodes])
    here = [_find_here(exchange, node) for node in nodes]
    exchange.remote.prepare((found.node.artifact, variant_of(found)) for found, _ in here if found is not None)
    return [Place(node, *found, _find_there(exchange, node, found[0])) for node, found in zip(nodes, here, strict=True)]


def _find_here(exchange: Exchange, node: Node) -> tuple[Manifest | None, bool]:
    state = exchange.nodes.local(node).state
    if state not in ("fresh", "collected"):
        return None, False
    return exchange.nodes.store.manifest(node.artifact), state == "fresh"


def _find_there(exchange: Exchange, node: Node, here: Manifest | None) -> Found | None:
    if here is not None:
        return exchange.remote.find(node.artifact, variant_of(here))
    return exchange.nodes.find(node)


def find_unpushed(exchange: Exchange, places: Sequence[Place], named: Sequence[str]) -> list[tuple[Place, bool]]:
    """What the remote store is to have and does not, each with whether its payload is to be there.

    Args:
        exchange: of the build.
        places: as `find_places` gives them.
        named: what was typed; of a stage that is named, payloads are pushed whatever the policy says.
    """
    found, is_named = [], match_names(named)
    for place in places:
        if place.here is None:
            continue
        is_wanted = exchange.remote.policy.is_pushed_whole(place.here) or is_named(place.node)
        is_whole = place.is_whole_here and is_wanted
        if place.there is None or (is_whole and not place.is_whole_there):
            found.append((place, is_whole))
    return found


def make_pusher(exchange: Exchange, unpushed: Sequence[tuple[Place, bool]]) -> Pusher:
    """Begin to push what `find_unpushed` gave, in another thread."""
    whole = {place.node.artifact: is_whole for place, is_whole in unpushed}
    pusher = Pusher(lambda artifact, observe: exchange.remote.push(artifact, observe, is_whole=whole[artifact]))
    for place, is_whole in unpushed:
        pusher.add(place.node.artifact, place.size_bytes if is_whole else 0)
    return pusher


def find_unfetched(build: Build, places: Sequence[Place], named: Sequence[str]) -> list[Place]:
    """What of these is to be fetched: what a run of the named tasks would fetch."""
    demand = build.demand()
    demand.select([place.node.title for place in places], named)
    return [place for place in places if demand.is_due(place.node) and demand.is_fetched(place.node)]


def fetch(
    build: Build, exchange: Exchange, places: Sequence[Place], observe: Callable[[int], None]
) -> Iterator[tuple[Node, Event | str]]:
    """Fetch several artifacts at a time, each with its lease; the event that ends it, or why it cannot be had.

    Args:
        build, exchange: of the run.
        places: what is to be fetched.
        observe: sees the number of bytes that are here, of all together, as they grow.
    Raises:
        RemoteError: the remote store does not answer any more.
    """
    done = _Sum(observe)

    def take(place: Place) -> Event | str:
        try:
            with ExitStack() as stack:
                lease = build.lease(place.node, _ignore)
                stack.callback(done.settle, place.node.artifact, place.size_bytes)
                ending = exchange.take(place.node, lease, _ignore, done.of(place.node.artifact))
        except StagesError as error:
            if isinstance(error, RemoteError) and not isinstance(error, PayloadError):
                raise  # nothing else can be fetched either
            return str(error)
        return ending or "the remote store does not have it any more"

    for place, ending in map_in_parallel(take, places, _NUM_AT_ONCE):
        yield place.node, ending


def record_others(exchange: Exchange, places: Sequence[Place], unfetched: Sequence[Place]) -> None:
    """Put down here what the artifacts are whose payloads are not fetched: a record takes the place of what is here."""
    fetched = {place.node.artifact for place in unfetched}
    exchange.nodes.record(place.node for place in places if place.node.artifact not in fetched)


def _ignore(_event: Event) -> None:
    pass


class _Sum:
    """Bytes that are here of several artifacts."""

    def __init__(self, observe: Callable[[int], None]) -> None:
        self._observe = observe
        self._bytes: dict[ArtifactId, int] = {}

    def of(self, artifact: ArtifactId) -> Callable[[int, int], None]:
        """What is to be called with those of one."""

        def note(done_bytes: int, _total_bytes: int) -> None:
            self.settle(artifact, done_bytes)

        return note

    def settle(self, artifact: ArtifactId, done_bytes: int) -> None:
        """So many are here of one."""
        self._bytes[artifact] = done_bytes
        self._observe(sum([*self._bytes.values()]))
