"""The links by which a person finds videos: `videos/<name>.mp4` in the store points to the newest choice of a video."""

import os
from functools import cached_property
from pathlib import Path

from stages.errors import StoreError
from stages.keys import ArtifactId
from stages.store.drafts import Drafts
from stages.store.interface import ArtifactStore
from stages.store.sharing import make_folder

_FOLDER = "videos"


class VideoLinks:
    """The links of one store. Their names are those of the videos, their targets artifacts of the last stage."""

    def __init__(self, store: ArtifactStore, *, suffix: str) -> None:
        """Nothing is created before the first link; `suffix` ends its name, such as ".mp4"."""
        self._store = store
        self._suffix = suffix

    def path(self, name: str) -> Path:
        """Where a person finds a video."""
        return self._store.root / _FOLDER / f"{name}{self._suffix}"

    @cached_property
    def _is_in_store(self) -> bool:
        """Whether the folder of the links is in the store itself, and not a link to another one."""
        return not (self._store.root / _FOLDER).is_symlink()

    def points_to(self, name: str, artifact: ArtifactId) -> bool:
        """Whether a video's link points to this artifact."""
        link = self.path(name)
        try:
            target = os.readlink(link)  # noqa: PTH115 (of thousands, Paths would take longer than all else here)
        except OSError:
            return False  # there is none, or something else is in its place
        if self._is_in_store and target.startswith(f"../{artifact.stage}/{artifact.key}/"):  # as `point_to` makes it
            return True
        return link.resolve().parent == self._store.folder(artifact).resolve()

    def point_to(self, name: str, artifact: ArtifactId) -> None:
        """Let a video's link point to this artifact, in one step.

        Raises:
            StoreError: something else is in its place, or it cannot be written.
        """
        link = self.path(name)
        try:
            make_folder(link.parent, self._store.root)
            with Drafts(self._store.root).new() as draft:
                (draft / name).symlink_to(os.path.relpath(self._store.payload(artifact), link.parent))
                (draft / name).replace(link)
        except OSError as error:
            raise StoreError(f"{link}: cannot be made ({error.strerror}). Move away what is in its place.") from error

    def remove(self, name: str) -> bool:
        """Take a video's link away, and say whether there was one; the artifact stays.

        Raises:
            StoreError: it is no link, or its folder cannot be written.
        """
        link = self.path(name)
        try:
            link.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{link}: cannot be removed ({error.strerror}). Do that by hand.") from error
        return True
