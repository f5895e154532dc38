"""Opens files that somebody else may have put there: regular files only, and without waiting.

To open a FIFO waits for a writer, to read a device may never end, and a file without end fills the memory. Whatever
reads a file that this project has not just written itself opens it here; libraries that open files by themselves are
given those that `require_regular` has looked at. All that is refused is an OSError, as of any file that cannot be read.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import xxhash

from stages.keys import Digest

MAX_TEXT_BYTES: Final = 64 << 20  # of a file that is read as a whole; the largest known, a tokenizer's, have 20 MB
# At once, of a file that is compared: they stay in a core's cache. 3.3 GiB/s of a cached file, as xxhsum; with 16 KiB
# 3.0, with 4 MiB 2.9.
_READ_BYTES = 1 << 18
_LEAST_BYTES = 1 << 12  # at once, of a file that is read as a whole; some that have content say that they have none
# Why a file cannot be read of which the bytes are lost: the disk does not have them, or there is no regular file.
_DAMAGE: Final = frozenset({
    errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.EFBIG
})  # fmt: skip
_KINDS: Final = MappingProxyType({
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
})  # fmt: skip


def open_descriptor(path: str | Path, flags: int = os.O_RDONLY, *, dir_fd: int | None = None) -> int:
    """A descriptor of a regular file, for the caller to close.

    Args:
        path: of the file; links are followed unless `flags` say otherwise.
        flags: as `os.open` takes them. A file that O_CREAT makes has the permissions that the umask leaves.
        dir_fd: the folder that `path` starts from; None: the working folder.
    Raises:
        OSError: it cannot be opened, or is a folder, a FIFO, a device or a socket; says which.
    """
    try:
        # FIFOs and devices are not opened at all: some do something then. Between the two calls it may be replaced.
        try:
            status = os.stat(path, dir_fd=dir_fd, follow_symlinks=not flags & os.O_NOFOLLOW)
            _check(status.st_mode, path, flags)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, 0o666, dir_fd=dir_fd)
    except ValueError as error:  # a NUL character, or half of a surrogate pair
        raise OSError(errno.EINVAL, f"is no name that a file can have: {error}", os.fspath(path)) from error
    try:
        _check(os.fstat(descriptor).st_mode, path, flags)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file, open for reading its bytes. Raises OSError, as `open_descriptor`."""
    return os.fdopen(open_descriptor(path), "rb")


def read_regular(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: as `open_descriptor`, or it has more than `max_bytes`; then no more than these were read.
    """
    descriptor = open_descriptor(path)
    try:
        size_bytes = os.fstat(descriptor).st_size
        pieces = [] if size_bytes > max_bytes else _read_pieces(descriptor, size_bytes, max_bytes)
    finally:
        os.close(descriptor)
    content = b"".join(pieces)
    if max(size_bytes, len(content)) > max_bytes:
        raise OSError(errno.EFBIG, f"has more than {max_bytes >> 20} MiB, which no such file has", os.fspath(path))
    return content


def _read_pieces(descriptor: int, size_bytes: int, max_bytes: int) -> list[bytes]:
    """All bytes of a file, and one more than `max_bytes` at most, where it has more than the system says."""
    pieces: list[bytes] = []
    left = max_bytes + 1
    # not room for `max_bytes` at once: to make it for each of thousands of files takes longer than to read them
    room = max(size_bytes + 1, _LEAST_BYTES)
    while left and (piece := os.read(descriptor, min(left, room))):
        pieces.append(piece)
        left -= len(piece)
    return pieces


def require_regular(path: str | Path) -> None:
    """Raise OSError, as `open_descriptor`, unless this is a regular file that can be read."""
    os.close(open_descriptor(path))


def name_kind(mode: int) -> str | None:
    """What a file with this mode is, such as "is a folder"; None of a regular file."""
    return "is a folder" if stat.S_ISDIR(mode) else _KINDS.get(stat.S_IFMT(mode))


def reason_of(error: Exception) -> str:
    """Why a file could not be read, for a message that names the file itself: without its name and a number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def is_damage(error: OSError) -> bool:
    """Whether a file that could not be read is lost or no regular file.

    With any other error (permissions, a file server that does not answer, too many open files) it may be whole.
    """
    return error.errno in _DAMAGE


def _check(mode: int, path: str | Path, flags: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFDIR:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if kind in _KINDS:
        raise OSError(errno.EINVAL, f"{_KINDS[kind]}, not a file", os.fspath(path))
    if kind == stat.S_IFLNK and flags & os.O_NOFOLLOW:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))


def digest_file(path: Path, observe: Callable[[int], None] = lambda _size_bytes: None) -> Digest:
    """XXH3-128 of a regular file's bytes. Raises OSError.

    `observe` is called with the size of each piece that has been read, in bytes.
    """
    hasher = xxhash.xxh3_128()
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    with os.fdopen(open_descriptor(path), "rb", buffering=0) as file:
        while size_bytes := file.readinto(buffer):
            hasher.update(view[:size_bytes])
            observe(size_bytes)
    return Digest(hasher.hexdigest())
