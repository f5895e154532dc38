"""Deletes from a remote store what collection.py has planned, while others push, fetch and collect there.

A bucket has no locks, so each deletion is announced: a mark is put, everything is looked at once more, and only what is
still to go then goes. Whoever pushes does it the other way round: he notes that he relies on something, then looks for
marks. So one of the two sees the other, and gives way (docs/decisions/0044-remote-gc.md has the whole argument).
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from stages.errors import RemoteError
from stages.remote.bucket import Bucket
from stages.remote.collection import Plan, Rules, plan_collection
from stages.remote.copies import CopyId
from stages.remote.in_parallel import map_in_parallel
from stages.remote.inventory import Inventory, ItemId, Listing, ask_time
from stages.remote.layout import folder_of_uses, mark_of_copy, name_touch, name_use

_PER_REQUEST = 1000  # objects that a bucket deletes by one request


@dataclass(frozen=True)
class Collected:
    """What was there, and what of it was deleted, or would be.

    Attributes:
        inventory: what was there before.
        plan: what went of it.
        now: the remote store's time; seconds since 1970.
    """

    inventory: Inventory
    plan: Plan
    now: float


def collect_remote(bucket: Bucket, rules: Rules, *, is_dry_run: bool = False) -> Collected:
    """Delete what need not stay. Any number of collectors may be at work at a time.

    Raises:
        RemoteError: the remote store does not answer, or does not do it. What was deleted before stays deleted, and
            nothing else is wrong: the next collector goes on.
    """
    # Before anything is listed: a payload that was not touched within the grace time before that has its small object
    # now, if it ever gets one, and every listing shows it, however long this process stands still in between.
    now = ask_time(bucket)
    listing = Listing(bucket)
    inventory = listing.take()
    plan = plan_collection(inventory, rules, now=now)
    if is_dry_run or not (plan.items or plan.copies or plan.others):
        return Collected(inventory, plan, now)
    collector = _Collector(bucket, uuid4().hex)
    with collector.marking(plan):
        present = listing.take()
        again = plan_collection(present, rules, now=now)
        going = Plan(plan.items & again.items, plan.copies & again.copies, plan.others & again.others, again.waiting)
        collector.delete_items(present, going.items)
        collector.delete_copies(present, going.copies)
        collector.delete(going.others)
    return Collected(inventory, going, now)


def delete_objects(bucket: Bucket, names: Iterable[str]) -> None:
    """Delete any number of objects. Raises RemoteError."""
    ordered = sorted(names)
    for start in range(0, len(ordered), _PER_REQUEST):
        bucket.delete(ordered[start : start + _PER_REQUEST])


class _Collector:
    """One collector, under a name of its own."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._marks: set[str] = set()  # of what stays, as far as is known

    @contextmanager
    def marking(self, plan: Plan) -> Iterator[None]:
        """Say of all that is to go that it is; in the end, of what was not deleted, that it is not."""
        self._marks = {*map(self._mark_of_item, plan.items), *map(self._mark_of_copy, plan.copies)}
        try:
            self._put(self._marks)
            yield
        except BaseException:
            with suppress(RemoteError):  # whoever sees a mark that stays gives way to nobody, and comes to no harm
                self.delete(self._marks)
            raise
        self.delete(self._marks)

    def delete_items(self, inventory: Inventory, items: Collection[ItemId]) -> None:
        """Delete artifacts: what says that they are there. Their payloads become younger for it.

        So a push that finds one there, and a run that has read of one, have the grace time from now.
        """
        marks = {*map(self._mark_of_item, items)}
        self._marks -= marks  # where a deletion fails, it may still be carried out
        copies = {
            copy for each in items if (copy := inventory.items[each].copy) is not None and copy in inventory.copies
        }
        self._put(name_touch(*copy) for copy in copies)
        self.delete(found.name for each in items for found in inventory.items[each].found)
        self.delete(name_use(*each) for each in items)
        self._marks |= marks

    def delete_copies(self, inventory: Inventory, copies: Collection[CopyId]) -> None:
        """Delete copies of payloads. Their marks stay, so that their names are not used again."""
        self._marks -= {*map(self._mark_of_copy, copies)}
        self.delete(name for each in copies for name in inventory.copies[each].objects(each))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects."""
        delete_objects(self._bucket, names)

    def _put(self, names: Iterable[str]) -> None:
        """Put empty objects, several at a time."""
        for _ in map_in_parallel(lambda name: self._bucket.put(name, b""), sorted(names)):
            pass

    def _mark_of_item(self, item_id: ItemId) -> str:
        return f"{folder_of_uses(*item_id)}/{self._name}"

    def _mark_of_copy(self, copy_id: CopyId) -> str:
        return mark_of_copy(*copy_id, self._name)
