"""A payload to a remote store, in parts. Parts that are there, in their size, are not sent again.

A collector may be deleting just these. So whoever relies on parts that he has not put himself first renews the time of
their copy, and then looks whether a collector has marked it; a collector marks a copy before he looks how old it is.
One of the two sees the other: the collector leaves the copy, or the payload is put as another copy, whose name nobody
has used before, so that no deletion that was delayed reaches it (docs/decisions/0044-remote-gc.md).
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from stages.errors import RemoteError, StoreError
from stages.machine.regular_files import digest_file
from stages.remote.bucket import Bucket
from stages.remote.copies import Copy, CopyId, read_copies
from stages.remote.entry import Entry
from stages.remote.in_parallel import map_in_parallel
from stages.remote.layout import FIRST_COPY, folder_of_payload, name_parts, name_touch, size_of_part
from stages.remote.shared_file import SharedFile
from stages.store.manifest import Manifest

# So long after the look at a copy it may be relied on; a tenth of the shortest grace time of a collector.
_RELIED_ON_S: Final = 360.0
_MAX_LOOKS: Final = 20  # at what is there; each but the first because a collector was at work, or sending took long


@dataclass(frozen=True)
class Put:
    """A payload that is there: which copy it is, and how many bytes were sent."""

    copy: str
    num_bytes: int


def put_payload(
    bucket: Bucket,
    folder: Path,
    entry: Entry,
    there: Entry | None,
    observe: Callable[[int], None],
    *,
    is_renewed: bool,
) -> Put:
    """Have a payload on a remote store, in a copy that stays until whoever calls has said what it is of.

    Args:
        bucket: of the remote store.
        folder: of the artifact.
        entry: what is pushed.
        there: what the remote store says already of the same bytes, or None.
        observe: sees the number of bytes of each part that is there.
        is_renewed: whether parts that are there already are put again.
    Raises:
        RemoteError: the remote store does not take it.
        StoreError: the artifact is damaged, or gone.
    """
    upload = _Upload(bucket, folder / entry.manifest.payload, entry, observe)
    present = read_copies(bucket.list(folder_of_payload(entry.manifest.digest)))
    if there is not None and not is_renewed and _has_all(present, there):
        observe(entry.manifest.size_bytes)
        return Put(there.copy, 0)
    copy = _choose(present, entry.manifest, there)
    for _ in range(_MAX_LOOKS):
        began_s = _now_s()
        if upload.copy(present, copy).sizes:
            bucket.put(name_touch(entry.manifest.digest, copy), b"")
            present = read_copies(bucket.list(folder_of_payload(entry.manifest.digest)))
        if upload.copy(present, copy).marks:
            copy = uuid4().hex
            continue
        upload.put_missing(copy, upload.copy(present, copy).sizes if not is_renewed else {})
        if _now_s() - began_s < _RELIED_ON_S:
            return Put(copy, upload.num_bytes)
        present, is_renewed = read_copies(bucket.list(folder_of_payload(entry.manifest.digest))), False
    raise RemoteError(f"{entry.manifest.node.title}: the remote store is too slow, or others delete what is sent.")


def is_there(bucket: Bucket, entry: Entry) -> bool:
    """Whether a remote store has all of the payload of which an entry speaks, by a listing. Raises RemoteError."""
    return _has_all(read_copies(bucket.list(folder_of_payload(entry.manifest.digest))), entry)


def _has_all(present: Mapping[CopyId, Copy], entry: Entry) -> bool:
    manifest, part_bytes = entry.manifest, entry.part_bytes
    names = name_parts(manifest, part_bytes, entry.copy)
    sizes = {name: size_of_part(manifest, index, part_bytes) for index, name in enumerate(names)}
    return present.get(CopyId(manifest.digest, entry.copy), Copy()).has(sizes)


def _choose(present: Mapping[CopyId, Copy], manifest: Manifest, there: Entry | None) -> str:
    """The copy to go on with: that of which the remote store speaks, else one that has parts, and no collector's."""
    usable = [each.copy for each, copy in present.items() if copy.sizes and not copy.marks]
    wanted = [there.copy] if there is not None else []
    for copy in (*wanted, FIRST_COPY, *sorted(usable)):
        if not present.get(CopyId(manifest.digest, copy), Copy()).marks:
            return copy
    return uuid4().hex


def _now_s() -> float:
    """Seconds of a clock that also goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Upload:
    """One payload on its way."""

    def __init__(self, bucket: Bucket, file: Path, entry: Entry, observe: Callable[[int], None]) -> None:
        self._bucket, self._file, self._entry, self._observe = bucket, file, entry, observe
        self._is_checked = False
        self._seen: set[int] = set()
        self.num_bytes = 0

    def copy(self, present: Mapping[CopyId, Copy], copy: str) -> Copy:
        """One of the copies that are there; without parts, one that is not."""
        return present.get(CopyId(self._entry.manifest.digest, copy), Copy())

    def put_missing(self, copy: str, sizes: Mapping[str, int]) -> None:
        """Put the parts that are not there in their size."""
        manifest, part_bytes = self._entry.manifest, self._entry.part_bytes
        names = name_parts(manifest, part_bytes, copy)
        missing = []
        for index, name in enumerate(names):
            if sizes.get(name) == size_of_part(manifest, index, part_bytes):
                self._note(index)
            else:
                missing.append(index)
        if not missing:
            return
        try:
            with SharedFile(self._file, os.O_RDONLY) as payload:
                if not self._is_checked:
                    _require_whole(self._file, manifest)
                self._is_checked = True
                self._put_parts(names, missing, payload)
        except OSError as error:
            raise StoreError(f"{self._file}: cannot be read ({error.strerror}). It was not pushed.") from error

    def _put_parts(self, names: Sequence[str], missing: Sequence[int], payload: SharedFile) -> None:
        """Put parts of an open file."""
        part_bytes = self._entry.part_bytes

        def put(index: int) -> int:
            size_bytes = size_of_part(self._entry.manifest, index, part_bytes)
            content = payload.read_at(index * part_bytes, size_bytes)
            self._bucket.put(names[index], content)
            self._note(index)
            return len(content)

        self.num_bytes += sum(num_bytes for _, num_bytes in map_in_parallel(put, missing))

    def _note(self, index: int) -> None:
        """Say that a part is there, once, whatever has become of its copy."""
        if index not in self._seen:
            self._seen.add(index)
            self._observe(size_of_part(self._entry.manifest, index, self._entry.part_bytes))


def _require_whole(file: Path, manifest: Manifest) -> None:
    """Raise StoreError unless a payload has the bytes of its manifest: nobody else shall find out that it has not."""
    digest = digest_file(file)
    if digest != manifest.digest:
        raise StoreError(
            f"{file}: xxh3 is {digest}, the manifest says {manifest.digest}; it was not pushed. Run `doit verify`."
        )
