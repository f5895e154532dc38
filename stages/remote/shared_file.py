"""A file that several threads read or write at places of their own, also those that outlive it.

A thread that waits for a network may go on after the file was closed; its number may be another file's by then.
"""

import os
import threading
from pathlib import Path
from types import TracebackType


class SharedFile:
    """An open file. After its block, every method raises ValueError."""

    def __init__(self, path: Path, flags: int) -> None:
        """Open it. Raises OSError."""
        self._lock = threading.Lock()
        self._descriptor: int | None = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> "SharedFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            os.close(self._open())
            self._descriptor = None

    def read_at(self, offset: int, num_bytes: int) -> bytes:
        """So many bytes from there; fewer where the file ends."""
        with self._lock:
            return os.pread(self._open(), num_bytes, offset)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from there on; how many bytes, fewer where the file ends. Raises OSError."""
        with self._lock:
            return os.preadv(self._open(), [buffer], offset)

    def write_at(self, offset: int, content: bytes | memoryview) -> None:
        """All of the bytes, from there on. Raises OSError."""
        with self._lock:
            done = 0
            while done < len(content):
                done += os.pwrite(self._open(), memoryview(content)[done:], offset + done)

    def cut(self, size_bytes: int) -> None:
        """Give the file this size. Raises OSError."""
        with self._lock:
            os.ftruncate(self._open(), size_bytes)

    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError("it is closed")
        return self._descriptor
