"""The links by which a person finds videos: `videos/<name>.mp4` in the store leads to the newest choice of a video."""

import os
from pathlib import Path

from stages.errors import StoreError
from stages.keys import Node
from stages.pipeline.contract import CONTRACTS, STAGES
from stages.store.artifacts import Store
from stages.store.drafts import WorkSpaces

_FOLDER = "videos"
_SUFFIX = Path(CONTRACTS[STAGES[-1]].payload).suffix


class VideoLinks:
    """The links of one store. Their names are those of the videos, their targets artifacts of the last stage."""

    def __init__(self, store: Store) -> None:
        """Nothing is created before the first link."""
        self._store = store

    def path(self, name: str) -> Path:
        """Where a person finds a video."""
        return self._store.root / _FOLDER / f"{name}{_SUFFIX}"

    def leads_to(self, name: str, node: Node) -> bool:
        """Whether a video's link leads to this node's artifact."""
        link = self.path(name)
        return link.is_symlink() and link.resolve() == self._store.payload(node.stage, node.key).resolve()

    def lead(self, name: str, node: Node) -> None:
        """Let a video's link lead to this node's artifact, in one step.

        Raises:
            StoreError: something else is in its place, or it cannot be written.
        """
        link = self.path(name)
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            with WorkSpaces(self._store.root).new() as space:
                (space / name).symlink_to(os.path.relpath(self._store.payload(node.stage, node.key), link.parent))
                (space / name).replace(link)
        except OSError as error:
            raise StoreError(f"{link}: cannot be made ({error.strerror}). Move away what is in its place.") from error

    def remove(self, name: str) -> None:
        """Take a video's link away, if there is one; the artifact stays.

        Raises:
            StoreError: it is no link, or its folder cannot be written.
        """
        link = self.path(name)
        try:
            link.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{link}: cannot be removed ({error.strerror}). Do that by hand.") from error
