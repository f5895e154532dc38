"""What lies in a remote store, whoever put it there: artifacts, copies of payloads, who is about to delete what.

What a collector decides by.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from uuid import uuid4

from stages.errors import RemoteError
from stages.keys import ArtifactId, Digest, Key
from stages.remote.bucket import Bucket, StoredObject
from stages.remote.catalog import Catalog, Found
from stages.remote.copies import Copy, CopyId, read_copies
from stages.remote.entry import is_damaged
from stages.remote.in_parallel import map_in_parallel
from stages.remote.layout import (
    ARTIFACTS,
    CLOCKS,
    ENTRY_NAME,
    PAYLOADS,
    RECORDS,
    USE_OBJECT,
    USES,
    name_use,
)

_ABANDONED_S = 3600.0  # objects that were put to ask the time are deleted at once, unless somebody is killed


class ItemId(NamedTuple):
    """Which artifact: of one key, and one variant of it."""

    artifact: ArtifactId
    variant: Digest


@dataclass
class Item:
    """An artifact of a remote store.

    Attributes:
        found: what its small objects say: one where its payload is there, one where it is not, or both.
        last_use: when it was put, pushed again or fetched; seconds since 1970.
    """

    found: list[Found] = field(default_factory=list)
    last_use: float = 0.0

    @property
    def whole(self) -> Found | None:
        """That of the one with a payload."""
        return next((each for each in self.found if each.is_whole), None)

    @property
    def copy(self) -> CopyId | None:
        """Its payload."""
        whole = self.whole
        return None if whole is None else CopyId(whole.entry.manifest.digest, whole.entry.copy)

    @property
    def size_bytes(self) -> int:
        """Of its payload; 0 where that is not there."""
        return 0 if self.whole is None else self.whole.entry.manifest.size_bytes


@dataclass(frozen=True)
class Unreadable:
    """An object that says of no artifact what it is.

    Attributes:
        reason: why.
        is_damaged: whether its bytes are not those that were put; else it may be of another version of this project.
        modified: when it was put; seconds since 1970.
    """

    reason: str
    is_damaged: bool
    modified: float


@dataclass(frozen=True)
class Inventory:
    """What there was when it was listed.

    Attributes:
        copies: of payloads.
        items: artifacts.
        unreadable: objects that say of no artifact what it is.
        marks: objects by which collectors say that they delete artifacts, each with when it was put.
        uses: of artifacts that are not there, each with when it was put.
    """

    copies: Mapping[CopyId, Copy]
    items: Mapping[ItemId, Item]
    unreadable: Mapping[str, Unreadable]
    marks: Mapping[str, float]
    uses: Mapping[str, float]

    @cached_property
    def made_of(self) -> Mapping[ItemId, tuple[ItemId, ...]]:
        """By artifact, those that it was made from: by key, and by the bytes that were read."""
        by_bytes: dict[tuple[ArtifactId, Digest], set[ItemId]] = {}
        for item_id, item in self.items.items():
            for each in item.found:
                by_bytes.setdefault((item_id.artifact, each.entry.manifest.digest), set()).add(item_id)
        return {
            item_id: tuple(
                source
                for each in item.found
                for stage, read in each.entry.manifest.inputs.items()
                for source in by_bytes.get((ArtifactId(stage, read.key), read.digest), ())
            )
            for item_id, item in self.items.items()
        }

    def with_sources(self, items: Iterable[ItemId]) -> set[ItemId]:
        """These, and all that they were made from."""
        found: set[ItemId] = set()
        waiting = [*items]
        while waiting:
            item_id = waiting.pop()
            if item_id not in found:
                found.add(item_id)
                waiting += self.made_of[item_id]
        return found


class Listing:
    """Lists a remote store again and again; an object that has not changed is read once."""

    def __init__(self, bucket: Bucket) -> None:
        """Nothing is asked yet."""
        self._bucket = bucket
        self._read: dict[StoredObject, Found | Unreadable] = {}

    def take(self) -> Inventory:
        """What is there now. Raises RemoteError."""
        copies = read_copies(self._bucket.list(PAYLOADS))
        used = [each for each in self._bucket.list(USES) if USE_OBJECT.fullmatch(each.name)]
        objects = [each for kind in (ARTIFACTS, RECORDS) for each in self._bucket.list(kind)]
        items: dict[ItemId, Item] = {}
        unreadable = {}
        for each, found in self._read_all(each for each in objects if ENTRY_NAME.fullmatch(each.name)):
            if isinstance(found, Found):
                item = items.setdefault(item_of(each.name), Item())
                item.found.append(found)
                item.last_use = max(item.last_use, each.modified)
            else:
                unreadable[each.name] = found
        marks, uses = _sort_out(used, items)
        return Inventory(copies, items, unreadable, marks, uses)

    def _read_all(self, objects: Iterable[StoredObject]) -> Iterator[tuple[StoredObject, Found | Unreadable]]:
        """Each with what it says; those that are gone meanwhile are left out."""
        listed = [*objects]
        for each, answer in map_in_parallel(self._ask, [each for each in listed if each not in self._read]):
            if answer is not None:
                self._read[each] = answer
        return ((each, self._read[each]) for each in listed if each in self._read)

    def _ask(self, each: StoredObject) -> Found | Unreadable | None:
        catalog = Catalog(self._bucket)
        found = catalog.read(each.name)
        content = self._bucket.get(each.name) if each.name in catalog.damaged else None
        if content is None:
            return found
        return Unreadable(catalog.damaged[each.name], is_damaged(content), each.modified)


def item_of(name: str) -> ItemId:
    """The artifact of an object that says what it is, or that it is used."""
    parts = ENTRY_NAME.fullmatch(name) or USE_OBJECT.fullmatch(name)
    assert parts is not None
    return ItemId(ArtifactId(parts["stage"], Key(parts["key"])), Digest(parts["variant"]))


def _sort_out(
    used: Iterable[StoredObject], items: Mapping[ItemId, Item]
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Note when artifacts were used; the marks of collectors, and uses of artifacts that are not there."""
    marks, uses = {}, {}
    for each in used:
        item_id = item_of(each.name)
        if each.name != name_use(*item_id):
            marks[each.name] = each.modified
        elif item_id in items:
            items[item_id].last_use = max(items[item_id].last_use, each.modified)
        else:
            uses[each.name] = each.modified
    return marks, uses


def ask_time(bucket: Bucket) -> float:
    """What time it is there, in seconds since 1970: by that of an object that is put for it. Raises RemoteError."""
    name = f"{CLOCKS}/{uuid4().hex}"
    bucket.put(name, b"")
    found = {each.name: each.modified for each in bucket.list(CLOCKS)}
    now = found.get(name)
    if now is None:
        raise RemoteError(f"{name}: was put, and is not listed: nobody can say what time it is there.")
    bucket.delete([each for each, modified in found.items() if each == name or modified < now - _ABANDONED_S])
    return now
