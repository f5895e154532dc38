"""Leases that a test holds."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from stages.keys import ArtifactId, Node
from stages.store.leases import Leases


def held(root: Path, node: Node, reads: Iterable[ArtifactId]) -> AbstractContextManager[object]:
    """Be at work on a node of a store for the time of the block."""
    return Leases(root).hold(node, tuple(reads), wait=lambda *_: None)
