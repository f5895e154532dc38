"""What `doit gc` deletes, and in which order: a plan, made from an inventory alone. collector.py carries it out.

Of an artifact first the payload goes. What is left is a record: its manifest, so that what was made from it stays fresh
and can still say what it was made from. A record goes when nothing that is kept was made from it any more.
"""

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import dataclass

from stages.keys import ArtifactId
from stages.store.inventory import Entry, Inventory
from stages.store.quantities import Limit

_NOTHING_S = 0.001  # the least that making something again is taken to cost


@dataclass(frozen=True)
class Plan:
    """What is to be deleted.

    Attributes:
        payloads: artifacts of which the payload goes, in this order.
        records: artifacts of which nothing stays, in this order: none before one that was made from it.
    """

    payloads: tuple[ArtifactId, ...] = ()
    records: tuple[ArtifactId, ...] = ()


def plan_collection(inventory: Inventory, kept: Set[ArtifactId], limit: Limit | None, *, now: float) -> Plan:
    """What goes so that of all that need not be kept only `limit` stays.

    The cheapest per byte to have again go first, compared by powers of ten, which takes frames before all else; among
    those that are alike the least recently used. What making one again costs counts what it is made from, where that
    is gone or to go. Of what cannot be read nothing goes, and what nobody knows the cost of goes last.

    Args:
        inventory: of the store.
        kept: artifacts that stay, each with all that it was made from.
        limit: how much of the rest stays; None: all of it.
        now: seconds since 1970.
    """
    rest = [entry for entry in inventory.entries.values() if may_go(entry, kept) and entry.payload_bytes is not None]
    if limit is None:
        payloads: tuple[ArtifactId, ...] = ()
    elif limit.age_s is not None:
        oldest = now - limit.age_s
        payloads = tuple(each for each in _in_turn(inventory, rest) if inventory.last_uses[each] < oldest)
    else:
        payloads = tuple(_until(limit.size_bytes or 0, inventory, rest))
    return Plan(payloads, tuple(_find_needless(inventory, kept, {*payloads})))


def may_go(entry: Entry, kept: Set[ArtifactId]) -> bool:
    """Whether an artifact is part of the rest: it need not be kept, is in the store, and it is known what it is."""
    return entry.artifact not in kept and entry.manifest is not None and not entry.is_link


def cost_to_have_again(
    inventory: Inventory, artifacts: Iterable[ArtifactId], absent: Collection[ArtifactId] = ()
) -> float:
    """Seconds that making these again takes, with all that they are made from and that is not there.

    Args:
        inventory: of the store.
        artifacts: what is to be made.
        absent: what is to be taken as gone, besides what is.
    Returns:
        The seconds; infinite where those of one artifact are not known.
    """
    seconds, seen, waiting = 0.0, set[ArtifactId](), [*artifacts]
    while waiting:
        artifact = waiting.pop()
        if artifact in seen:
            continue
        seen.add(artifact)
        own = inventory.rebuild_s(artifact)
        if own is None:
            return math.inf
        seconds += max(own, _NOTHING_S)
        waiting += [
            each for each in inventory.entries[artifact].inputs if each in absent or not inventory.is_there(each)
        ]
    return seconds


def _until(max_bytes: int, inventory: Inventory, rest: Collection[Entry]) -> Iterator[ArtifactId]:
    """Artifacts in their turn, until the payloads of the others are at most `max_bytes`."""
    excess = sum(entry.payload_bytes or 0 for entry in rest) - max_bytes
    for artifact in _in_turn(inventory, rest):
        if excess <= 0:
            return
        excess -= inventory.entries[artifact].payload_bytes or 0
        yield artifact


def _in_turn(inventory: Inventory, rest: Iterable[Entry]) -> Iterator[ArtifactId]:
    """All of the rest, in the order in which they are to go."""
    gone: set[ArtifactId] = set()

    def rank(artifact: ArtifactId) -> tuple[float, float, str, str]:
        cost = cost_to_have_again(inventory, [artifact], gone)
        per_byte = cost / max(inventory.entries[artifact].payload_bytes or 0, 1)
        power = float(math.floor(math.log10(per_byte))) if per_byte < math.inf else per_byte
        return power, inventory.last_uses[artifact], artifact.stage, artifact.key

    heap = [(rank(entry.artifact), entry.artifact) for entry in rest]  # the rank decides: no two are equal
    heapq.heapify(heap)
    while heap:
        known, artifact = heapq.heappop(heap)
        present = rank(artifact)
        if present > known:  # something that it is made from goes before it, so that it costs more now
            heapq.heappush(heap, (present, artifact))
            continue
        gone.add(artifact)
        yield artifact


def _find_needless(inventory: Inventory, kept: Set[ArtifactId], going: Set[ArtifactId]) -> Iterator[ArtifactId]:
    """Records, and what becomes one, from which nothing that stays was made; the last of a chain first."""
    staying = {
        artifact
        for artifact, entry in inventory.entries.items()
        if entry.payload_bytes is not None and not entry.is_forgotten and artifact not in going
    }
    needed = inventory.ancestors(staying | kept)
    for artifact in reversed(inventory.in_order):
        entry = inventory.entries[artifact]
        is_record = artifact in going or (entry.is_marked and entry.payload_bytes is None)
        is_needless = is_record and artifact not in needed and may_go(entry, kept)
        if is_needless or (entry.is_remnant and not entry.is_link):
            yield artifact
