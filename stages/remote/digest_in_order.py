"""The digest of a file whose parts come in any order: of each part as soon as all before it are there."""

from collections.abc import Iterable, Sequence
from typing import Final

import xxhash

from stages.keys import Digest
from stages.remote.shared_file import SharedFile

_READ_BYTES: Final = 1 << 18  # at once; they stay in a core's cache


class DigestInOrder:
    """Reads what was written, while the next parts come. Not for several threads."""

    def __init__(self, file: SharedFile, sizes: Sequence[int]) -> None:
        """Nothing is there yet.

        Args:
            file: that holds the parts, one after the other.
            sizes: bytes of each.
        """
        self._file = file
        self._sizes = sizes
        self._there: set[int] = set()
        self._next = self.num_bytes = 0  # `num_bytes`: that have been read
        self._hasher = xxhash.xxh3_128()
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def add(self, indices: Iterable[int]) -> None:
        """These parts are there. Raises OSError: they cannot be read."""
        self._there.update(indices)
        while self._next in self._there:
            self._read(self._sizes[self._next])
            self._next += 1

    def finish(self) -> Digest:
        """XXH3-128 of all parts, which are there."""
        assert self._next == len(self._sizes)
        return Digest(self._hasher.hexdigest())

    def _read(self, size_bytes: int) -> None:
        end = self.num_bytes + size_bytes
        while self.num_bytes < end:
            num_bytes = self._file.read_into(self.num_bytes, self._buffer[: end - self.num_bytes])
            if not num_bytes:
                return  # somebody has cut it; the digest is another one
            self._hasher.update(self._buffer[:num_bytes])
            self.num_bytes += num_bytes
