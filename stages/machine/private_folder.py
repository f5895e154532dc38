"""A folder whose files only the user can have written, for content that is dangerous to read otherwise.

Owns how that is proven: the folder is opened once and checked through its descriptor, and each file is reached from
that descriptor. So what is used is what was checked, even if something is renamed meanwhile. executables.py gives the
files their meaning.
"""

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.errors import StoreError
from stages.keys import digest_bytes
from stages.machine.regular_files import open_descriptor

_DIGEST_BYTES = 32  # XXH3-128 in hex, in front of a file's payload
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PrivateFolder:
    """The files of an open folder, by name. Any number of processes may use it at a time."""

    def __init__(self, descriptor: int) -> None:
        """Take the folder's descriptor; see `open_private`."""
        self._descriptor = descriptor

    def read(self, name: str) -> bytes | None:
        """The payload of a file that `write` has written under this name; None when there is no such file.

        Raises:
            StoreError: another user could have written it, or it is damaged.
            OSError: it cannot be read.
        """
        try:
            descriptor = open_descriptor(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._descriptor)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not (stat.S_ISREG(status.st_mode) and _is_private(status)):
                raise StoreError(f"{name} is not a file that you own with mode 0600")
            content = file.read()
            with suppress(OSError):
                os.utime(descriptor)  # recently used: `trim` deletes other files first
        seal, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if seal != _seal(name, payload):
            raise StoreError(f"{name} is damaged, or was written under another name")
        return payload

    def write(self, name: str, payload: bytes) -> None:
        """Write a file that appears whole or not at all, and replaces one of the same name. Raises OSError."""
        new = f"{name}-{secrets.token_hex(8)}"
        mode = stat.S_IRUSR | stat.S_IWUSR
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=self._descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_seal(name, payload) + payload)
            os.replace(new, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(new, dir_fd=self._descriptor)
            raise

    def trim(self, max_bytes: int) -> None:
        """Delete the least recently used files until the rest is at most `max_bytes`. Raises OSError."""
        self.delete(self.find_excess(max_bytes))

    def find_excess(self, max_bytes: int | None, *, used_since_ns: int = 0) -> dict[str, int]:
        """Files beyond a limit, the least recently used first, each with its bytes. Raises OSError.

        Args:
            max_bytes: of the files that stay; None: any number.
            used_since_ns: what was not used since then, in nanoseconds since 1970, does not stay.
        """
        statuses = {}
        for name in os.listdir(self._descriptor):  # noqa: PTH208 (a Path knows no descriptors)
            with suppress(FileNotFoundError):  # another process deletes files, too
                statuses[name] = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        total = sum(status.st_size for status in statuses.values())
        excess = 0 if max_bytes is None else total - max_bytes
        found: dict[str, int] = {}
        for name, status in sorted(statuses.items(), key=lambda entry: entry[1].st_mtime_ns):
            if excess > 0 or status.st_mtime_ns < used_since_ns:
                found[name] = status.st_size
                excess -= status.st_size
        return found

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, as far as they are there. Raises OSError."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._descriptor)


@contextmanager
def open_private(path: Path) -> Iterator[PrivateFolder]:
    """Open the folder for the time of the block; it is created, with mode 0700, unless it exists.

    Raises:
        StoreError: it cannot be created, or another user could write to it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=stat.S_IRWXU)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be created ({error.strerror}). Fix its permissions, or set `artifacts` in "
            "params/machine.toml to a folder that can be written."
        ) from error
    descriptor = _open_own(path)
    try:
        yield PrivateFolder(descriptor)
    finally:
        os.close(descriptor)


def _open_own(path: Path) -> int:
    """A descriptor of the folder. Raises StoreError when another user could write to it."""
    refusal = StoreError(
        f"{path}: is not a folder that you own with mode 0700, and whoever can write there could run code as you. "
        "Delete it, and it is made again; on a file system without owners and modes, set `artifacts` in "
        "params/machine.toml to a folder elsewhere."
    )
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:  # a link, a file, a folder of another user
        raise refusal from error
    if not _is_private(os.fstat(descriptor)):
        os.close(descriptor)
        raise refusal
    return descriptor


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS


def _seal(name: str, payload: bytes) -> bytes:
    """What is written in front of a payload: a digest of it and of its name, so that a renamed file is refused."""
    return digest_bytes(name.encode() + payload).encode()
