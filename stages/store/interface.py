"""Where artifacts are kept: the protocol that a build depends on."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from stages.keys import ArtifactId, Digest, Node
from stages.store.verdict import Verdict


@runtime_checkable
class ArtifactStore(Protocol):
    """Says what has been made. `artifacts.Store` keeps it in a folder."""

    @property
    def root(self) -> Path:
        """The folder that people see."""

    def folder(self, artifact: ArtifactId) -> Path:
        """Where the artifact is or will be."""

    def payload(self, artifact: ArtifactId) -> Path:
        """The file that the next stage reads. Raises StoreError when there is no such artifact."""

    def verdict(self, node: Node, code: Digest) -> Verdict:
        """Whether the node's artifact can stay, made by code with this fingerprint."""

    def forget(self, artifact: ArtifactId) -> bool:
        """Make the artifact again at the next run. False when there is none."""

    def remove(self, artifact: ArtifactId) -> bool:
        """Delete the artifact. False when there is none."""

    def sweep_drafts(self) -> None:
        """Delete what writers that are gone have left unfinished. Never raises."""
