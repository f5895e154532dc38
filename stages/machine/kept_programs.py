"""The folder of compiled programs in a store, for those who only look at its size: it is read without JAX.

executables.py decides what is kept there.
"""

import os
from contextlib import suppress
from pathlib import Path

from stages.machine.private_folder import open_private

FOLDER = ".executables"  # in a store's root
MAX_BYTES = 4 * 2**30  # of all files together; the least recently used are deleted first
# Nor are they more than this part of what would be free without them: a run asks the disk for the room of its artifacts
# before it knows how large its programs are, and losing a program costs a minute, losing an artifact's room the run.
_PART_OF_FREE = 16


def find_limit(store: Path) -> int:
    """How many bytes all kept programs of a store may take at present. Raises OSError: the disk cannot be asked."""
    disk = os.statvfs(store)
    if not disk.f_blocks:  # a file system that does not say how large it is
        return MAX_BYTES
    return min(MAX_BYTES, (disk.f_bavail * disk.f_frsize + size_of_programs(store)) // _PART_OF_FREE)


def size_of_programs(store: Path) -> int:
    """Bytes of all kept programs. Raises OSError: the folder cannot be read."""
    try:
        with os.scandir(store / FOLDER) as files:
            found = [*files]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    size_bytes = 0
    for file in found:
        with suppress(FileNotFoundError):  # another process deletes files, too
            size_bytes += file.stat(follow_symlinks=False).st_size
    return size_bytes


def trim_programs(
    store: Path, max_bytes: int | None, *, used_since_ns: int = 0, is_dry_run: bool = False
) -> dict[str, int]:
    """Delete the least recently used programs beyond a limit; the files, each with its bytes.

    A process that uses one has read all of it, and loses nothing.

    Args:
        store: the store's root.
        max_bytes: of those that stay; None: any number.
        used_since_ns: what was not used since then, in nanoseconds since 1970, does not stay.
        is_dry_run: whether they are only found.
    Raises:
        StoreError: the folder is another user's, or not closed to others.
        OSError: it cannot be read, or a file cannot be deleted.
    """
    if not (store / FOLDER).is_dir():
        return {}
    with open_private(store / FOLDER) as folder:
        found = folder.find_excess(max_bytes, used_since_ns=used_since_ns)
        if not is_dry_run:
            folder.delete(found)
    return found
