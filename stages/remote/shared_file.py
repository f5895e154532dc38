"""A file that several threads read or write at places of their own, also those that outlive it.

A thread that waits for a network may go on after the file was closed; its number may be another file's by then.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType


class SharedFile:
    """An open file, which several threads use at a time. After its block, every method raises ValueError."""

    def __init__(self, path: Path, flags: int) -> None:
        """Open it. Raises OSError."""
        self._changed = threading.Condition()
        self._num_users = 0
        self._descriptor: int | None = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> "SharedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            descriptor, self._descriptor = self._descriptor, None
            self._changed.wait_for(lambda: not self._num_users)
        assert descriptor is not None
        os.close(descriptor)

    def read_at(self, offset: int, num_bytes: int) -> bytes:
        """So many bytes from there; fewer where the file ends."""
        with self._using() as descriptor:
            return os.pread(descriptor, num_bytes, offset)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from there on; how many bytes, fewer where the file ends. Raises OSError."""
        with self._using() as descriptor:
            return os.preadv(descriptor, [buffer], offset)

    def write_at(self, offset: int, content: bytes | memoryview) -> None:
        """All of the bytes, from there on. Raises OSError."""
        with self._using() as descriptor:
            done = 0
            while done < len(content):
                done += os.pwrite(descriptor, memoryview(content)[done:], offset + done)

    def cut(self, size_bytes: int) -> None:
        """Give the file this size. Raises OSError."""
        with self._using() as descriptor:
            os.ftruncate(descriptor, size_bytes)

    def sync(self) -> None:
        """Wait until what has been written is on the disk. Raises OSError."""
        with self._using() as descriptor:
            os.fsync(descriptor)

    @contextmanager
    def _using(self) -> Iterator[int]:
        """The descriptor, which stays open until the block ends: the lock is not held while the disk is waited for."""
        with self._changed:
            if self._descriptor is None:
                raise ValueError("it is closed")
            descriptor = self._descriptor
            self._num_users += 1
        try:
            yield descriptor
        finally:
            with self._changed:
                self._num_users -= 1
                self._changed.notify_all()
