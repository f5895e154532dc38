"""What `doit gc --remote` deletes: a plan, made from what lies there alone. collector.py carries it out.

Nothing goes that was put, pushed again or fetched within the grace time, by the remote store's own clock. A payload
goes when no artifact has it; an artifact, when it was not used for as long as is asked for, nor anything made from it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from stages.keys import ArtifactId, Digest
from stages.remote.copies import CopyId
from stages.remote.inventory import Inventory, ItemId

# Marks of deleted copies stay for so long, so that no push uses their names again while a collector may still be
# carrying out a deletion that it decided on: its machine may have been asleep.
_TOMBSTONE_S = 30 * 86_400.0


@dataclass(frozen=True)
class Rules:
    """What stays.

    Attributes:
        wanted: artifacts that stay, with all that they were made from; each by the code of which it is wanted, or None:
            by whatever code it was made.
        grace_s: what was used within so many seconds stays in any case.
        keep_s: of the rest, what was used within so many seconds; None: all of it.
        skips_damaged: whether objects that say nothing, because they are damaged, count for nothing. Otherwise nobody
            knows which payloads they need, and no payload goes.
    """

    wanted: Mapping[ArtifactId, Collection[Digest] | None] = field(default_factory=dict)
    grace_s: float = 86_400.0
    keep_s: float | None = None
    skips_damaged: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be deleted.

    Attributes:
        items: artifacts. Their payloads go by a later plan, when the grace time is over for those who read them now.
        copies: of payloads, that no artifact has.
        others: objects that are of no use: notes of uses, and marks of collectors, of what is gone; damaged ones.
        waiting: copies that no artifact has, and that stay because of the grace time.
    """

    items: frozenset[ItemId] = frozenset()
    copies: frozenset[CopyId] = frozenset()
    others: frozenset[str] = frozenset()
    waiting: frozenset[CopyId] = frozenset()


def plan_collection(inventory: Inventory, rules: Rules, *, now: float) -> Plan:
    """What goes; `now` is the remote store's time, seconds since 1970."""
    oldest = now - rules.grace_s
    items = frozenset[ItemId]()
    if rules.keep_s is not None:
        since = min(oldest, now - rules.keep_s)
        items = frozenset(each for each in find_rest(inventory, rules) if inventory.items[each].last_use < since)
        items -= inventory.with_sources(inventory.items.keys() - items)
    garbage = find_garbage(inventory, rules)
    copies = frozenset(each for each in garbage if inventory.copies[each].last_put < oldest)
    return Plan(items, copies, frozenset(_find_useless(inventory, rules, now)), garbage - copies)


def find_rest(inventory: Inventory, rules: Rules) -> set[ItemId]:
    """Artifacts that need not stay, however young they are."""
    wanted = set()
    for item_id, item in inventory.items.items():
        codes = rules.wanted.get(item_id.artifact, ())
        if codes is None or any(each.entry.manifest.code in codes for each in item.found):
            wanted.add(item_id)
    return inventory.items.keys() - inventory.with_sources(wanted)


def find_obstacles(inventory: Inventory, rules: Rules) -> Collection[str]:
    """Objects because of which nobody knows which payloads are needed."""
    return [name for name, each in inventory.unreadable.items() if not (each.is_damaged and rules.skips_damaged)]


def find_garbage(inventory: Inventory, rules: Rules) -> frozenset[CopyId]:
    """Copies that no artifact has, however young; none where that cannot be known."""
    if find_obstacles(inventory, rules):
        return frozenset()
    named = {item.copy for item in inventory.items.values()}
    return frozenset(each for each, copy in inventory.copies.items() if each not in named and copy.objects(each))


def _find_useless(inventory: Inventory, rules: Rules, now: float) -> Collection[str]:
    oldest = now - rules.grace_s
    found = {name for name, modified in (*inventory.uses.items(), *inventory.marks.items()) if modified < oldest}
    if rules.skips_damaged:
        found.update(name for name, each in inventory.unreadable.items() if each.is_damaged and each.modified < oldest)
    for copy_id, copy in inventory.copies.items():
        if not copy.objects(copy_id):
            found.update(name for name, modified in copy.marks.items() if modified < now - _TOMBSTONE_S)
    return found
