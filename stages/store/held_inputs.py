"""What a node is made from, kept while it is read: an artifact can be forgotten, removed or replaced meanwhile.

An open file stays what it is, whatever happens to its name. So the bytes that are read are those that were checked, and
a result can be published for them, however long its making took.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stages.keys import ArtifactId, Digest, Node
from stages.machine.regular_files import open_regular
from stages.store.artifacts import Store

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
    """Check all payloads that a node is made from, as `Store.check_inputs`, and keep them for the time of the block.

    Raises:
        StoreError: as `Store.check_inputs`.
    """
    while True:
        with ExitStack() as stack:
            files = _open(store, node, stack)
            digests = store.check_inputs(node)
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
