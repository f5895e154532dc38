"""What an artifact was made from, back to the first stage: the manifests that a video's metadata describes."""

from contextlib import suppress

from stages.errors import StoreError
from stages.keys import ArtifactId
from stages.store.artifacts import Store
from stages.store.manifest import Manifest


def read_lineage(store: Store, artifact: ArtifactId) -> list[Manifest]:
    """Manifests of an artifact and of all that it was made from, the last first.

    Raises:
        StoreError: one of them is damaged or has been removed.
    """
    with suppress(StoreError):  # perhaps one was just being replaced: looked at again when nobody can
        return _read(store, artifact)
    with store.exclusive():
        return _read(store, artifact)


def _read(store: Store, artifact: ArtifactId) -> list[Manifest]:
    manifest = store.present_manifest(artifact)
    ancestors = [_read(store, parent) for parent in manifest.node.input_artifacts]
    return [manifest, *(ancestor for branch in ancestors for ancestor in branch)]
