"""What is asked of object storage: the seam behind which a library stands, and below which nobody knows artifacts.

Objects are whole: what is put is there with all of its bytes, or not at all.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class StoredObject:
    """An object: its name below the store's prefix, its bytes, and when it was put, in seconds since 1970."""

    name: str
    size_bytes: int
    modified: float


@runtime_checkable
class Bucket(Protocol):
    """A bucket below a prefix. May be used by several threads. Every method raises RemoteError: it gives no answer."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects below a folder, in no order."""
        ...

    def get(self, name: str) -> bytes | None:
        """An object's bytes, None where there is none."""
        ...

    def read(self, name: str, take: Callable[[memoryview], None]) -> bool:
        """Give the bytes of an object to `take`, piece by piece as they come; False where there is none.

        A piece is valid only during the call.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Put an object, whether there is one or not."""
        ...

    def put_new(self, name: str, content: bytes) -> bool:
        """Put an object if there is none; False where there is one. Of several at a time, one does."""
        ...

    def delete(self, names: Collection[str]) -> None:
        """Delete objects; one that is not there is no fault."""
        ...
