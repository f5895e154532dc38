"""What an artifact was made from, back to the first stage: the manifests that a video's metadata tells of."""

from contextlib import suppress

from stages.errors import StoreError
from stages.keys import Key
from stages.store.artifacts import Store
from stages.store.manifest import Manifest


def read_lineage(store: Store, stage: str, key: Key) -> list[Manifest]:
    """Manifests of an artifact and of all that it was made from, the last first.

    Raises:
        StoreError: one of them is damaged or has been removed.
    """
    with suppress(StoreError):  # perhaps one was just being replaced: looked at again when nobody can
        return _read(store, stage, key)
    with store.alone():
        return _read(store, stage, key)


def _read(store: Store, stage: str, key: Key) -> list[Manifest]:
    manifest = store.present_manifest(stage, key)
    ancestors = [_read(store, name, entry.key) for name, entry in manifest.inputs.items()]
    return [manifest, *(ancestor for branch in ancestors for ancestor in branch)]
