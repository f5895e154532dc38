"""An artifact to a remote store: its payload first, then the small object that says what it is, if there is none.

So whoever sees that object finds the payload. What is there already of either is relied on only where no collector
deletes it (docs/decisions/0044-remote-gc.md). How payloads are put is in payload_upload.py.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from stages.errors import BeingCollectedError
from stages.keys import Digest
from stages.machine.json_files import read_json
from stages.remote.bucket import Bucket
from stages.remote.catalog import Catalog
from stages.remote.entry import Entry
from stages.remote.layout import USE_OBJECT, folder_of_uses, name_entry, name_use, variant_of
from stages.remote.payload_upload import is_there, put_payload
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


def read_local(folder: Path, manifest: Manifest, *, but: Collection[str] = ()) -> Entry:
    """What the store's own folder says of an artifact; where run.json cannot be read, nothing of how it was made.

    Fields of run.json with the names `but` are left out.
    """
    try:
        run = read_json(run_file(folder))
    except (OSError, ValueError):
        run = {}
    fields = run.items() if isinstance(run, dict) else ()
    return Entry(manifest, {name: value for name, value in fields if name not in but})


# Marks of collectors that are older than this were left by one that was killed: deleting takes minutes.
_ABANDONED_S: Final = 3600.0
_MAX_LOOKS: Final = 5  # at what is there; each but the first because a collector has just deleted it


def upload(
    bucket: Bucket,
    catalog: Catalog,
    folder: Path,
    entry: Entry,
    observe: Callable[[int], None],
    *,
    is_whole: bool,
    is_refused: Callable[[Digest], bool] = lambda _digest: False,
) -> Pushed:
    """Put an artifact on a remote store, unless that has another of the same code and inputs, with its payload.

    Args:
        bucket: of the remote store.
        catalog: reads what it has.
        folder: of the artifact.
        entry: what it is.
        observe: sees the number of bytes of each part that is there.
        is_whole: with its payload; else only what it is.
        is_refused: whether what is there of a payload is known to be damaged: it is put again.
    Raises:
        RemoteError: the remote store does not take it. What it has taken stays, and is not sent again.
        BeingCollectedError: a collector is deleting just that there.
        StoreError: the artifact is damaged, or gone.
    """
    digest, variant = entry.manifest.digest, variant_of(entry.manifest)
    name = name_entry(entry.manifest.node.artifact, variant, is_whole=is_whole)
    if not is_whole:
        return Pushed(0, is_first=_put_entry(bucket, catalog, entry, name))
    found = catalog.read(name) if name in catalog.names() else None
    there = None if found is None else found.entry
    if there is not None and there.manifest.digest == digest:
        entry, same = replace(entry, part_bytes=there.part_bytes), there
    elif there is not None and not is_refused(there.manifest.digest) and is_there(bucket, there):
        return Pushed(0, is_first=False)
    else:
        same = None
    put = put_payload(bucket, folder, entry, same, observe, is_renewed=is_refused(digest))
    entry = replace(entry, copy=put.copy)
    if there is not None and (there.manifest.digest, there.copy) != (digest, put.copy):
        bucket.put(name, entry.to_bytes())  # nobody can fetch that of which it speaks
    return Pushed(put.num_bytes, is_first=_put_entry(bucket, catalog, entry, name))


def _put_entry(bucket: Bucket, catalog: Catalog, entry: Entry, name: str) -> bool:
    """Put the small object, if there is none; whether what is there is what was to be put.

    Whoever finds one there notes that he relies on it before he looks whether a collector deletes it. A collector says
    that he does before he looks for such notes. So one of the two sees the other; or the collector has taken back what
    he said, because it is done: then the object is gone, which the last look shows.
    """
    manifest, content = entry.manifest, entry.to_bytes()
    for _ in range(_MAX_LOOKS):
        if not bucket.put_new(name, content):
            bucket.put(name_use(manifest.node.artifact, variant_of(manifest)), b"")
        _require_uncollected(bucket, entry)
        there = catalog.read(name)
        if there is not None:
            catalog.add(name, there.entry, is_whole=there.is_whole)
            return there.entry.manifest == manifest
        if name in catalog.damaged:  # it says nothing: nobody can use it
            bucket.put(name, content)
    raise _being_collected(manifest)


def _require_uncollected(bucket: Bucket, entry: Entry) -> None:
    """Raise BeingCollectedError where a collector is about to delete the small object of an artifact."""
    artifact, variant = entry.manifest.node.artifact, variant_of(entry.manifest)
    folder = folder_of_uses(artifact, variant)
    marked = max((each.modified for each in bucket.list(folder) if _is_mark(each.name)), default=None)
    if marked is None:
        return
    bucket.put(name_use(artifact, variant), b"")  # its time is now; the mark may be gone meanwhile, with what it was on
    now = next((each.modified for each in bucket.list(folder) if each.name == name_use(artifact, variant)), marked)
    if marked > now - _ABANDONED_S:
        raise _being_collected(entry.manifest)


def _being_collected(manifest: Manifest) -> BeingCollectedError:
    return BeingCollectedError(
        f"{manifest.node.title}: a `doit gc --remote` is deleting what is there of it, because nobody has used it"
    )


def _is_mark(name: str) -> bool:
    found = USE_OBJECT.fullmatch(name)
    return found is not None and found["mark"] is not None
