"""The payloads that a node is made from: compared with their manifests, and held open while they are read.

An open file stays what it is, whatever happens to its name. So the bytes that are read are those that were checked, and
a result can be published for them, however long its making took.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stages.errors import StoreError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.regular_files import digest_file, open_regular
from stages.store.artifacts import Store
from stages.store.usage import record_use

_OPEN_FILES = Path("/dev/fd")  # where a process can open again what it has open, by its descriptor


@dataclass(frozen=True)
class HeldInput:
    """A payload that a node is made from.

    Attributes:
        digest: of its bytes, which have been compared with the manifest.
        path: opens these bytes and no others, in this process, as long as they are held.
    """

    digest: Digest
    path: Path


@contextmanager
def hold_inputs(store: Store, node: Node) -> Iterator[Mapping[ArtifactId, HeldInput]]:
    """Check all payloads that a node is made from, as `check_inputs`, and keep them for the time of the block.

    Raises:
        StoreError: as `check_inputs`.
    """
    while True:
        with ExitStack() as stack:
            files = _open(store, node, stack)
            digests = check_inputs(store, node)
            if files.keys() == digests.keys() and all(_is_under(path, file) for path, file in files.values()):
                yield {
                    artifact: HeldInput(digests[artifact], _OPEN_FILES / str(file.fileno()))
                    for artifact, (_, file) in files.items()
                }
                return
        # One was replaced after it had been opened: what was checked is another file.


def _open(store: Store, node: Node, stack: ExitStack) -> Mapping[ArtifactId, tuple[Path, BinaryIO]]:
    files = {}
    with suppress(OSError):  # the check says which, and what to do
        for artifact in node.input_artifacts:
            path = store.payload(artifact)
            files[artifact] = path, stack.enter_context(open_regular(path))
    return files


def _is_under(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def check_inputs(store: Store, node: Node) -> dict[ArtifactId, Digest]:
    """Read all payloads that a node is made from and compare them with their manifests, byte for byte.

    A damaged artifact is forgotten: the next `doit` makes it again. A collected one stays a record.

    Returns:
        The payloads' digests, for `Store.publish`.
    Raises:
        StoreError: an artifact has been removed or is damaged.
    """
    digests = {artifact: _check_payload(store, artifact) for artifact in node.input_artifacts}
    for artifact in digests:
        record_use(store.folder(artifact))
    return digests


def _check_payload(store: Store, artifact: ArtifactId) -> Digest:
    with suppress(StoreError):  # perhaps it was just being replaced: looked at again when nobody can
        return _matching_digest(store, artifact)
    with store.exclusive():
        try:
            return _matching_digest(store, artifact)
        except StoreError:
            if not store.is_collected(artifact):
                store.forget(artifact)
            raise


def _matching_digest(store: Store, artifact: ArtifactId) -> Digest:
    """Digest of an artifact's payload. Raises StoreError when it is not the one in the manifest."""
    manifest = store.present_manifest(artifact)
    path = store.folder(artifact) / manifest.payload
    try:
        digest = digest_file(path)
    except FileNotFoundError as error:
        if store.is_collected(artifact):
            raise StoreError(
                f"{path}: was deleted by `doit gc`. Run `doit {artifact.title}`: it is made again."
            ) from error
        raise StoreError(f"{path}: is not there. Run `doit` again: it is made anew.") from error
    except OSError as error:
        if error.errno != errno.EIO:
            raise  # its bytes may be right
        raise StoreError(f"{path}: is damaged ({error.strerror}). Run `doit` again: it is made anew.") from error
    if digest != manifest.digest:
        raise StoreError(
            f"{path}: xxh3 is {digest}, the manifest says {manifest.digest}; the file was cut or edited. "
            "Run `doit` again: it is made anew."
        )
    return digest
