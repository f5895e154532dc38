"""Copies of payloads on a remote store, as a listing shows them: which parts each has, how old it is, who deletes it.

A copy is whole, is being put, or is garbage; which of these, its objects do not say. Mostly there is one of a payload.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.keys import Digest
from stages.remote.bucket import StoredObject
from stages.remote.layout import PAYLOAD_OBJECT, name_touch


class CopyId(NamedTuple):
    """Which copy: the digest of the payload, and the copy's own name (layout.py)."""

    digest: Digest
    copy: str


@dataclass
class Copy:
    """The objects of a copy.

    Attributes:
        sizes: bytes of each part that is there, by its object.
        marks: objects by which collectors say that they delete it, or have, each with when it was put.
        last_put: when its youngest part was put, or a push last relied on it; seconds since 1970, 0 of none.
        is_touched: whether there is an object that says the latter.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    last_put: float = 0.0
    is_touched: bool = False

    @property
    def size_bytes(self) -> int:
        """Of all parts."""
        return sum(self.sizes.values())

    def has(self, sizes: Mapping[str, int]) -> bool:
        """Whether it has these parts, in these sizes."""
        return all(self.sizes.get(name) == size_bytes for name, size_bytes in sizes.items())

    def objects(self, copy_id: CopyId) -> list[str]:
        """All that is to be deleted with it: not its marks, because its name is never used again while these stay."""
        return [*self.sizes, *([name_touch(*copy_id)] if self.is_touched else [])]


def read_copies(objects: Iterable[StoredObject]) -> dict[CopyId, Copy]:
    """The copies that a listing of payloads shows; other objects do not count."""
    copies: dict[CopyId, Copy] = {}
    for each in objects:
        found = PAYLOAD_OBJECT.fullmatch(each.name)
        if found is None:
            continue
        copy = copies.setdefault(CopyId(Digest(found["digest"]), found["copy"] or ""), Copy())
        if found["mark"]:
            copy.marks[each.name] = each.modified
            continue
        copy.last_put = max(copy.last_put, each.modified)
        if found["touched"]:
            copy.is_touched = True
        else:
            copy.sizes[each.name] = each.size_bytes
    return copies
