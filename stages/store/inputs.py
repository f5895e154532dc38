"""The payloads that a node is made from: compared with their manifests, and held open while they are read.

An open file stays what it is, whatever happens to its name. So the bytes that are read are those that were checked, and
a result can be published for them, however long its making took.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stages.errors import StoreError, UnreadableError
from stages.keys import ArtifactId, Digest, Node
from stages.machine.regular_files import digest_file, is_damage, open_regular
from stages.store.artifacts import Store
from stages.store.manifest import Manifest
from stages.store.payloads import Stamp, stamp_of
from stages.store.usage import record_use

_OPEN_FILES = Path("/dev/fd")  # where a process can open again what it has open, by its descriptor
_MAX_LOOKS = 3  # at a payload that is replaced while it is read


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
        StoreError: as `check_inputs`, or one is another file each time.
    """
    for _ in range(_MAX_LOOKS):
        with ExitStack() as stack:
            files = _open(store, node, stack)
            digests = check_inputs(store, node)
            # What was replaced after it had been opened is not the file that was checked.
            others = [each for each in digests if each not in files or not _is_under(*files[each])]
            if not others:
                yield {
                    artifact: HeldInput(digests[artifact], _OPEN_FILES / str(file.fileno()))
                    for artifact, (_, file) in files.items()
                }
                return
    raise StoreError(
        f"{store.payload(others[0])}: was another file {_MAX_LOOKS} times while it was read. Run `doit` again when "
        "nobody else makes it. If nobody does, its file system gives one file several numbers: set `artifacts` in "
        "params/machine.toml to a folder on another one."
    )


def check_inputs(store: Store, node: Node) -> dict[ArtifactId, Digest]:
    """Read all payloads that a node is made from and compare them with their manifests, byte for byte.

    A damaged artifact is forgotten: the next `doit` makes it again. A collected one stays a record.

    Returns:
        The payloads' digests, for `Store.publish`.
    Raises:
        UnreadableError: an artifact cannot be read, and may be whole.
        StoreError: an artifact has been removed or is damaged.
    """
    digests = {artifact: _check_payload(store, artifact) for artifact in node.input_artifacts}
    for artifact in digests:
        record_use(store.folder(artifact))
    return digests


def _open(store: Store, node: Node, stack: ExitStack) -> Mapping[ArtifactId, tuple[Path, BinaryIO]]:
    """The payloads that can be opened; of others the check says what is wrong, and marks them."""
    files = {}
    for artifact in node.input_artifacts:
        path = store.payload(artifact)
        try:
            files[artifact] = path, stack.enter_context(open_regular(path))
        except OSError as error:
            if not is_damage(error):
                raise UnreadableError(path, error) from error
    return files


def _is_under(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is the one that has this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _check_payload(store: Store, artifact: ArtifactId) -> Digest:
    """The payload's digest. One that is damaged is forgotten, unless it has been replaced since it was read."""
    for _ in range(_MAX_LOOKS):
        try:
            seen = _see(store, artifact)
            return _matching_digest(store, artifact)
        except UnreadableError as error:
            fault: StoreError = error  # perhaps it was just being replaced, over a network
        except StoreError as error:
            fault = error
            with store.exclusive():  # nobody waits for the reading
                if _see(store, artifact) == seen:
                    if not store.is_collected(artifact):
                        store.forget(artifact)
                    break
    raise fault


def _see(store: Store, artifact: ArtifactId) -> tuple[Manifest, Stamp | None] | None:
    """What is there at present; None without a manifest that says what that is."""
    try:
        manifest = store.present_manifest(artifact)
    except UnreadableError:
        raise
    except StoreError:
        return None
    return manifest, stamp_of(store.folder(artifact) / manifest.payload)


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
        if not is_damage(error):
            raise UnreadableError(path, error) from error
        raise StoreError(f"{path}: is damaged ({error.strerror}). Run `doit` again: it is made anew.") from error
    if digest != manifest.digest:
        raise StoreError(
            f"{path}: xxh3 is {digest}, the manifest says {manifest.digest}; the file was cut or edited. "
            "Run `doit` again: it is made anew."
        )
    return digest
