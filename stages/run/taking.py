"""Has a node of a run: fetched where the remote store has it, and otherwise made and pushed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from stages.errors import RemoteError, StageError
from stages.keys import Node
from stages.machine.holder import Holder
from stages.remote.download import PayloadError
from stages.run.exchange import Exchange
from stages.run.runner import Event
from stages.run.stopping import StopWatch

if TYPE_CHECKING:
    from stages.run.build import Build


def take_or_make(
    build: "Build",
    exchange: Exchange,
    node: Node,
    observe: Callable[[Event], None],
    *,
    make: Callable[[], Event],
    may_fetch: bool,
    waits: bool,
) -> Event:
    """Fetch a node's artifact, or make it and push it while the run goes on.

    Args:
        build: of the run.
        exchange: of the build.
        node: that is due.
        observe: sees all events but the last.
        make: makes it.
        may_fetch, waits: as in `Build.run`.
    Returns:
        The event that ended it.
    Raises:
        StageError: as `Build.run`.
    """
    is_remote = may_fetch and exchange.can_fetch(node)
    if is_remote and (taken := _take(build, exchange, node, observe, waits=waits)) is not None:
        return taken
    if is_remote or exchange.remote.fault:  # else it was not planned as fetched
        _have_inputs(build, exchange, node, observe, waits=waits)
    try:
        ending = make()
    except PayloadError as error:  # of what it reads, which hosts of a fleet get from there
        observe({"event": "warning", "message": f"what it reads is made again: {error}"})
        _have_inputs(build, exchange, node, observe, waits=waits)
        ending = make()
    if not {"made_by", "is_pushed"} & ending.keys():
        exchange.push_later(node.artifact)
    return ending


def _take(
    build: "Build", exchange: Exchange, node: Node, observe: Callable[[Event], None], *, waits: bool
) -> Event | None:
    """Fetch a node's artifact; None where it is to be made, which is said of it, or of the remote store once."""
    stop = StopWatch(node, build.leases, lambda _at_once: None)

    def show(event: Event) -> None:
        if stop.asked_by:
            raise StageError(stop.explain())
        observe(event)

    try:
        return exchange.take(node, _hold(build.lease(node, observe, waits=waits), stop), show)
    except PayloadError as error:
        observe({"event": "warning", "message": f"is made here, because it cannot be fetched: {error}"})
    except RemoteError as error:
        exchange.remote.give_up(error)
    return None


@contextmanager
def _hold(lease: AbstractContextManager[Holder | None], stop: StopWatch) -> Iterator[Holder | None]:
    """A lease, whose holder hears when he is asked to stop."""
    with lease as before, stop:
        yield before


def _have_inputs(
    build: "Build", exchange: Exchange, node: Node, observe: Callable[[Event], None], *, waits: bool
) -> None:
    """Have what a node reads: their tasks have had their turn when it was still to be fetched."""
    chain = build.graph.videos[build.graph.videos_of(node)[0]]
    for parent in (chain[stage] for stage in node.inputs):
        if build.verdict(parent).is_fresh:
            continue
        if not exchange.can_fetch(parent):  # else it needs nothing, unless that fails
            _have_inputs(build, exchange, parent, observe, waits=waits)
        build.run(parent, observe, waits=waits)
