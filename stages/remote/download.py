"""Payloads from a remote store: fetched in parts, several at a time, and gone on with after a break.

What has come lies in `<store>/.remote/<digest>/`: the file, and a note of the size of its parts and of which it has. It
gets no name of an artifact before all of it has been compared with its digest (remote.py).
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stages.errors import RemoteError
from stages.keys import Digest
from stages.machine.file_lock import open_lock, try_lock
from stages.remote.bucket import Bucket
from stages.remote.digest_in_order import DigestInOrder
from stages.remote.entry import Entry
from stages.remote.in_parallel import map_in_parallel
from stages.remote.layout import name_parts, size_of_part
from stages.remote.shared_file import SharedFile
from stages.store.layout import REMOTE
from stages.store.leftovers import TRANSFER_LOCK
from stages.store.sharing import lock_mode, make_folder

_PAYLOAD, _PARTS = "payload", "parts"
_SYNC_BYTES = 128 << 20  # are put on the disk while the next ones come, so that nobody waits for all in the end


class PayloadError(RemoteError):
    """A remote store answers, and does not have the payload that an artifact's manifest names: of others it may."""


class MissingPartError(PayloadError):
    """A remote store has the manifest of an artifact, and not all of its payload, or not in its size."""


@contextmanager
def incoming(root: Path, entry: Entry, otherwise: Path) -> Iterator[Path]:
    """A folder in which a payload is gathered, and nobody else gathers anything, until the block ends.

    Args:
        root: of the store.
        entry: what is fetched.
        otherwise: the folder where another process has that of this payload.
    """
    folder = root / REMOTE / entry.manifest.digest
    while True:
        try:
            make_folder(folder, root)
            descriptor = open_lock(folder / TRANSFER_LOCK, mode=lock_mode(root))
        except FileNotFoundError:
            continue  # whoever had the folder has just cleared it
        except FileExistsError:
            if os.path.lexists(folder) and not folder.is_dir():
                raise  # something of somebody's own
            continue  # it was cleared between being found and being looked at
        try:
            is_free = try_lock(descriptor) is not False
            if is_free and not _is_in_place(descriptor, folder / TRANSFER_LOCK):
                continue
            yield folder if is_free else otherwise
            return
        finally:
            os.close(descriptor)


def _is_in_place(descriptor: int, file: Path) -> bool:
    """Whether an open file still has its name: a lock on one that was deleted keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def download(bucket: Bucket, entry: Entry, folder: Path, observe: Callable[[int], None]) -> tuple[Path, Digest]:
    """Fetch what is missing of a payload, into a folder of `incoming`; the file, and the digest of what it holds.

    Args:
        bucket: of the remote store.
        entry: what is fetched.
        folder: that may hold parts of it.
        observe: sees the number of bytes, of each piece as it comes, and first of all that are there already. Below
            zero: so many count for nothing, and come once more.
    Raises:
        RemoteError: the remote store does not give it. What has come stays.
    """
    file, noted = folder / _PAYLOAD, folder / _PARTS
    num_parts = len(name_parts(entry.manifest, entry.part_bytes, entry.copy))
    there = _read_parts(noted, entry.part_bytes, num_parts) if file.is_file() else set()
    digest = _gather(bucket, entry, folder, there, observe)
    if there and digest != entry.manifest.digest:  # after a loss of power a file need not hold what was noted
        observe(-entry.manifest.size_bytes)
        digest = _gather(bucket, entry, folder, set(), observe)
    return file, digest


def _gather(
    bucket: Bucket, entry: Entry, folder: Path, there: Collection[int], observe: Callable[[int], None]
) -> Digest:
    """Fetch all parts but those that are there; the digest of the file. Raises RemoteError."""
    names = name_parts(entry.manifest, entry.part_bytes, entry.copy)
    sizes = [size_of_part(entry.manifest, index, entry.part_bytes) for index in range(len(names))]
    observe(sum(sizes[index] for index in there))
    if not there:
        (folder / _PARTS).write_text(f"{entry.part_bytes}\n")
    flags = os.O_RDWR | os.O_CREAT | (0 if there else os.O_TRUNC)
    with SharedFile(folder / _PAYLOAD, flags) as payload, (folder / _PARTS).open("a") as notes:

        def fetch(index: int) -> None:
            place = _PartWriter(payload, index * entry.part_bytes, sizes[index], observe)
            if not bucket.read(names[index], place.take):
                raise MissingPartError(f"{names[index]}: is not there.")
            if place.done_bytes != sizes[index]:
                raise MissingPartError(f"{names[index]}: has {place.done_bytes} bytes.")

        digest = DigestInOrder(payload, sizes)
        digest.add(there)
        synced_bytes = 0
        for index, _ in map_in_parallel(fetch, [index for index in range(len(names)) if index not in there]):
            notes.write(f"{index}\n")
            notes.flush()
            digest.add([index])
            if digest.num_bytes >= synced_bytes + _SYNC_BYTES:
                payload.sync()
                synced_bytes = digest.num_bytes
        payload.cut(entry.manifest.size_bytes)
        return digest.finish()


@dataclass
class _PartWriter:
    """Where a part goes in a file, piece by piece as it comes; what is too much of it is counted alone."""

    payload: SharedFile
    offset: int
    size_bytes: int
    observe: Callable[[int], None]
    done_bytes: int = 0

    def take(self, piece: memoryview) -> None:
        """Write the next piece."""
        left_bytes = max(self.size_bytes - self.done_bytes, 0)
        self.payload.write_at(self.offset + self.done_bytes, piece[:left_bytes])
        self.done_bytes += len(piece)
        self.observe(len(piece))


def gathered_bytes(root: Path, digest: Digest) -> int:
    """How much of the disk a payload takes of which parts have come to a store; 0 where none have."""
    try:
        return (root / REMOTE / digest / _PAYLOAD).stat().st_blocks * 512  # what has not come is a hole
    except OSError:
        return 0


def clear(folder: Path) -> None:
    """Delete what a folder of `incoming` holds, and the folder. Never raises.

    Its lock last: from then on it is the next one's, with all that he puts there.
    """
    for name in (_PAYLOAD, _PARTS, TRANSFER_LOCK):
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()


def _read_parts(noted: Path, part_bytes: int, num_parts: int) -> set[int]:
    """The numbers of the parts that a file has; none where nothing says it, or it is about parts of another size."""
    with suppress(OSError, ValueError):
        size, *found = map(int, noted.read_text().splitlines())
        return {index for index in found if 0 <= index < num_parts} if size == part_bytes else set()
    return set()
