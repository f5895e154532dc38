"""What stores know of an artifact: its manifest, those of what it was made from, and how each was made.

Looks in several stores, because an artifact may lie in another project's, and parts of it only in this one's.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stages.errors import StoreError
from stages.keys import KEY_NAME, STAGE_NAME, ArtifactId, Digest
from stages.machine.json_files import read_json
from stages.machine.regular_files import digest_file
from stages.provenance.record import Made
from stages.store.artifacts import Store
from stages.store.inventory import take_inventory
from stages.store.manifest import Manifest
from stages.store.usage import run_file

_MAX_RUN_BYTES = 16 << 20


def trace(manifest: Manifest, stores: Sequence[Store]) -> tuple[list[Made], list[ArtifactId]]:
    """An artifact and all that it was made from, as far as stores have their manifests, and what they lack.

    Where an artifact has been made again since, with other bytes, its parameters and components are those of its key
    all the same; by which code, and from what bytes of those before it, is then not known.
    """
    made: dict[ArtifactId, Made] = {}
    missing: dict[ArtifactId, None] = {}
    waiting = [(manifest, True)]  # whether the manifest is of the very bytes that were read
    while waiting:
        child, is_same = waiting.pop()
        made[child.node.artifact] = _describe(child, stores) if is_same else _describe_key(child)
        for stage, entry in child.inputs.items():
            artifact = ArtifactId(stage, entry.key)
            parent = find_manifest(artifact, stores, entry.digest)
            if parent is None:
                missing[artifact] = None
            elif artifact not in made:
                waiting.append((parent, is_same and parent.digest == entry.digest))
    return [*made.values()], [*missing]


def find_manifest(artifact: ArtifactId, stores: Sequence[Store], digest: Digest | None = None) -> Manifest | None:
    """The manifest of an artifact, of those that stores have: that of bytes with this digest if there is one."""
    found = [manifest for store in stores if (manifest := _read_manifest(store, artifact)) is not None]
    return next((manifest for manifest in found if manifest.digest == digest), found[0] if found else None)


def store_around(folder: Path) -> Store | None:
    """The store in which a folder, a whole path without links, is an artifact's, by the names of the folders."""
    if STAGE_NAME.fullmatch(folder.parent.name) is None or KEY_NAME.fullmatch(folder.name) is None:
        return None
    return Store(folder.parent.parent)


def find_by_content(path: Path, size_bytes: int, store: Store) -> Manifest | None:
    """The manifest of an artifact with these bytes; they are read only where one has as many. Raises OSError."""
    manifests = [entry.manifest for entry in take_inventory(store.root).entries.values() if entry.manifest]
    alike = [manifest for manifest in manifests if manifest.size_bytes == size_bytes]
    digest = digest_file(path) if alike else None
    return next((manifest for manifest in alike if manifest.digest == digest), None)


def _describe(manifest: Manifest, stores: Sequence[Store]) -> Made:
    return Made.of(manifest, _read_run(manifest, stores))


def _describe_key(manifest: Manifest) -> Made:
    """What follows from the key alone, whatever bytes were made."""
    return Made(manifest.stage, manifest.key, manifest.parameters, manifest.components)


def _read_manifest(store: Store, artifact: ArtifactId) -> Manifest | None:
    with suppress(StoreError):  # a damaged one says nothing
        return store.present_manifest(artifact)
    return None


def _read_run(manifest: Manifest, stores: Sequence[Store]) -> Mapping[str, Any] | None:
    """What run.json says of the making of these very bytes."""
    artifact = manifest.node.artifact
    for store in stores:
        if _read_manifest(store, artifact) == manifest:
            with suppress(OSError, ValueError):
                run = read_json(run_file(store.folder(artifact)), _MAX_RUN_BYTES)
                return run if isinstance(run, dict) else None
    return None
