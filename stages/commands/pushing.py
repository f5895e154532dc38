"""What is said of pushes to the remote store: how far they are at the end of a run, and what is not there."""

import sys
from collections.abc import Callable

from stages.keys import ArtifactId
from stages.models.wording import name_some
from stages.remote.address import Address
from stages.remote.pusher import Outcome
from stages.run.byte_progress import show_bytes as show_progress
from stages.run.exchange import Exchange
from stages.run.size import count
from stages.store.quantities import show_bytes


def finish_pushing(exchange: Exchange, say: Callable[[str], None], command: str) -> None:
    """Wait until what a run has made is on the remote store, too. What is not is said on stderr, and is no failure.

    `command` pushes what is left.
    """
    known = exchange.remote.fault
    if exchange.is_pushing:
        try:
            with show_progress(f"push to {exchange.remote.address}") as observe:
                exchange.finish(observe)
        except KeyboardInterrupt:
            tell(exchange.outcome(), exchange.remote.address, say, command, known=known)
            raise
    tell(exchange.outcome(), exchange.remote.address, say, command, known=known)


def tell(outcome: Outcome, address: Address, say: Callable[[str], None], command: str, *, known: str = "") -> None:
    """Say what was pushed, and on stderr what was not, each reason once.

    Args:
        outcome: what has become of it.
        address: of the remote store.
        say: prints a line on stdout.
        command: pushes what is left.
        known: a reason that has been said already.
    """
    if outcome.num_pushed:
        sent = f", {show_bytes(outcome.num_bytes)} sent" if outcome.num_bytes else ""
        say(f"pushed {count(outcome.num_pushed, 'artifact')} to {address}{sent}")
    by_reason: dict[str, list[ArtifactId]] = {}
    for artifact, reason in outcome.left.items():
        by_reason.setdefault(reason, []).append(artifact)
    for reason, artifacts in by_reason.items():
        names = name_some([artifact.title for artifact in artifacts])
        why = "" if reason == known else f": {reason.removesuffix('.')}"
        print(f"not pushed: {names}{why}. `{command}` goes on.", file=sys.stderr)
