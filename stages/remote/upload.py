"""An artifact to a remote store: its payload first, then the small object that says what it is, if there is none.

So whoever sees that object finds the payload. A payload that is there in part, because a push was cut, is gone on with.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.errors import StoreError
from stages.machine.json_files import read_json
from stages.machine.regular_files import digest_file
from stages.remote.bucket import Bucket
from stages.remote.catalog import Catalog
from stages.remote.entry import Entry
from stages.remote.in_parallel import map_in_parallel
from stages.remote.layout import folder_of_payload, name_entry, name_parts, size_of_part, variant_of
from stages.remote.shared_file import SharedFile
from stages.store.manifest import Manifest
from stages.store.usage import run_file


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        num_bytes: that were sent.
        is_first: whether the remote store has what was pushed; False where it had another of the same code and inputs.
    """

    num_bytes: int
    is_first: bool


def read_local(folder: Path, manifest: Manifest, *, but: str = "") -> Entry:
    """What the store's own folder says of an artifact; where run.json cannot be read, nothing of how it was made.

    A field of run.json with the name `but` is left out.
    """
    try:
        run = read_json(run_file(folder))
    except (OSError, ValueError):
        run = {}
    fields = run.items() if isinstance(run, dict) else ()
    return Entry(manifest, {name: value for name, value in fields if name != but})


def upload(
    bucket: Bucket,
    catalog: Catalog,
    folder: Path,
    entry: Entry,
    observe: Callable[[int], None],
    *,
    is_whole: bool,
    is_renewed: bool = False,
) -> Pushed:
    """Put an artifact on a remote store.

    Args:
        bucket: of the remote store.
        catalog: reads what it has.
        folder: of the artifact.
        entry: what it is.
        observe: sees the number of bytes of each part that is there.
        is_whole: with its payload; else only what it is.
        is_renewed: whether parts of the payload that are there already are put again, because they were damaged.
    Raises:
        RemoteError: the remote store does not take it. What it has taken stays, and is not sent again.
        StoreError: the artifact is damaged, or gone.
    """
    manifest = entry.manifest
    name = name_entry(manifest.node.artifact, variant_of(manifest), is_whole=is_whole)
    num_bytes = _put_payload(bucket, folder, entry, observe, is_renewed=is_renewed) if is_whole else 0
    if bucket.put_new(name, entry.to_bytes()):
        return Pushed(num_bytes, is_first=True)
    there = catalog.read(name)
    if there is None:  # it says nothing: nobody can use it
        bucket.put(name, entry.to_bytes())
        return Pushed(num_bytes, is_first=True)
    return Pushed(num_bytes, is_first=there.entry.manifest == manifest)


def _put_payload(
    bucket: Bucket, folder: Path, entry: Entry, observe: Callable[[int], None], *, is_renewed: bool
) -> int:
    """Put the parts that are missing; their bytes."""
    manifest, file = entry.manifest, folder / entry.manifest.payload
    names = name_parts(manifest, entry.part_bytes)
    sizes = {each.name: each.size_bytes for each in bucket.list(folder_of_payload(manifest.digest))}
    missing = []
    for index, name in enumerate(names):
        size_bytes = size_of_part(manifest, index, entry.part_bytes)
        if is_renewed or sizes.get(name) != size_bytes:
            missing.append(index)
        else:
            observe(size_bytes)
    if not missing:
        return 0
    try:
        with SharedFile(file, os.O_RDONLY) as payload:
            _require_whole(file, manifest)
            return _put_parts(bucket, entry, names, missing, payload, observe=observe)
    except OSError as error:
        raise StoreError(f"{file}: cannot be read ({error.strerror}). It was not pushed.") from error


def _put_parts(
    bucket: Bucket,
    entry: Entry,
    names: Sequence[str],
    missing: Sequence[int],
    payload: SharedFile,
    *,
    observe: Callable[[int], None],
) -> int:
    """Put parts of an open file; their bytes."""

    def put(index: int) -> int:
        size_bytes = size_of_part(entry.manifest, index, entry.part_bytes)
        content = payload.read_at(index * entry.part_bytes, size_bytes)
        bucket.put(names[index], content)
        observe(len(content))
        return len(content)

    return sum(num_bytes for _, num_bytes in map_in_parallel(put, missing))


def _require_whole(file: Path, manifest: Manifest) -> None:
    """Raise StoreError unless a payload has the bytes of its manifest: nobody else shall find out that it has not."""
    digest = digest_file(file)
    if digest != manifest.digest:
        raise StoreError(
            f"{file}: xxh3 is {digest}, the manifest says {manifest.digest}; it was not pushed. Run `doit verify`."
        )
