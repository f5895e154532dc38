"""The links by which a person finds videos: `videos/<name>.mp4` in the store points to the newest choice of a video."""

import os
import re
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from stages.errors import StoreError
from stages.keys import KEY_NAME, PAYLOAD_NAME, STAGE_NAME, ArtifactId, Key
from stages.store.drafts import Drafts
from stages.store.interface import ArtifactStore
from stages.store.layout import VIDEOS
from stages.store.sharing import make_folder
from stages.store.usage import record_use

if TYPE_CHECKING:
    from stages.store.link_history import LinkHistory

_PAYLOAD = re.compile(  # below a store's folder
    rf"(?P<stage>{STAGE_NAME.pattern})/(?P<key>{KEY_NAME.pattern})/(?P<payload>{PAYLOAD_NAME.pattern})"
)


class VideoLinks:
    """The links of one store. Their names are those of the videos, their targets artifacts of the last stage.

    Only links into this store are replaced and removed: anything else under such a name is somebody's own.
    """

    def __init__(self, store: ArtifactStore, *, suffix: str, command: str = "doit") -> None:
        """Nothing is created before the first link; `suffix` ends its name, such as ".mp4"; `command` makes links."""
        self._store = store
        self._suffix = suffix
        self._command = command

    @cached_property
    def folder(self) -> Path:
        """Where the links are."""
        return self._store.root / VIDEOS

    def path(self, name: str) -> Path:
        """Where a person finds a video."""
        return self.folder / f"{name}{self._suffix}"

    @cached_property
    def _history(self) -> "LinkHistory":
        from stages.store.link_history import LinkHistory  # noqa: PLC0415 (of no use while no link changes)

        return LinkHistory(self._store.root)

    @cached_property
    def _is_in_store(self) -> bool:
        """Whether the folder of the links is in the store itself, and not a link to another one."""
        return not self.folder.is_symlink()

    def list_all(self) -> dict[str, ArtifactId]:
        """The artifact that each link leads to, whether it is there or not, by the name before the suffix."""
        try:
            links = sorted(self.folder.iterdir())
        except OSError:  # there is none yet
            return {}
        found = {link.name: self._leads_to(link) for link in links if link.name.endswith(self._suffix)}
        return {name.removesuffix(self._suffix): artifact for name, artifact in found.items() if artifact is not None}

    def points_to(self, name: str, artifact: ArtifactId) -> bool:
        """Whether a video's link points to this artifact."""
        link = self.path(name)
        try:
            target = os.readlink(link)  # noqa: PTH115 (of thousands, Paths would take longer than all else here)
        except OSError:
            return False  # there is none, or something else is in its place
        if self._is_in_store and target.startswith(f"../{artifact.stage}/{artifact.key}/"):  # as `point_to` makes it
            return True
        return self._leads_to(link) == artifact

    def point_to(self, name: str, artifact: ArtifactId) -> None:
        """Let a video's link point to this artifact, in one step.

        Raises:
            StoreError: something else is in its place, which stays, or it cannot be written.
        """
        link, payload = self.path(name), self._store.payload(artifact)
        try:
            make_folder(link.parent, self._store.root)
            with Drafts(self._store.root).exclusive():  # nobody changes it between the look and the change
                before = self._leads_to(link)
                if os.path.lexists(link) and before is None:
                    raise StoreError(
                        f"{link}: is not a link that doit has made, and stays as it is. The video is {payload}. Move "
                        f"away what is there; then `{self._command} {name}` makes the link."
                    )
                new = link.with_name(f".{link.name}.new")  # in the same folder, which may be on another file system
                if self._leads_to(new) is not None:
                    new.unlink()  # of a run that was killed
                if before is not None and before != artifact:
                    with suppress(OSError):  # the link is worth more than what it led to before
                        self._history.add(link.name, before)
                new.symlink_to(self._target(payload))
                try:
                    new.replace(link)
                except OSError as error:
                    new.unlink()  # in a sticky folder no other user could
                    raise _name_owner(error, link) from error
            record_use(self._store.folder(artifact))
        except OSError as error:
            raise StoreError(
                f"{link}: cannot be made ({error.strerror}). The video is {payload}. Fix that; then "
                f"`{self._command} {name}` makes the link."
            ) from error

    def find_before(self, name: str) -> ArtifactId | None:
        """The artifact that a video's link led to before the one that it leads to now; None where none is known."""
        return self._history.find_before(self.path(name).name, self._leads_to(self.path(name)))

    def remove(self, name: str) -> bool:
        """Take a video's link away, and say whether there was one; the artifact stays.

        Raises:
            StoreError: it is not a link into this store, or its folder cannot be written.
        """
        link = self.path(name)
        if not os.path.lexists(link):
            return False
        before = self._leads_to(link)
        if before is None:
            raise StoreError(f"{link}: is not a link that doit has made, and stays as it is. Remove it by hand.")
        with suppress(OSError):  # on a disk without a free byte, what makes room has to work
            self._history.add(link.name, before)
        try:
            link.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"{link}: cannot be removed ({error.strerror}). Do that by hand.") from error
        return True

    def _target(self, payload: Path) -> str:
        """What a link holds: a way that stays right when the store is moved, as far as it is inside the store."""
        if self._is_in_store:
            return os.path.relpath(payload, self.folder)
        place = self._store.root.resolve() / payload.relative_to(self._store.root)
        return os.path.relpath(place, self.folder.resolve())

    def _leads_to(self, path: Path) -> ArtifactId | None:
        found = read_link(path, self._store.root)
        return None if found is None else found[0]


def read_link(path: Path, root: Path) -> tuple[ArtifactId, Path] | None:
    """Where a link as `VideoLinks` makes them leads: an artifact and its payload, there or not; None of anything else.

    Args:
        path: of the link.
        root: the store's folder.
    """
    try:
        place = Path(os.path.normpath(path.parent.resolve() / os.readlink(path)))  # noqa: PTH115 (of its text)
    except OSError:
        return None  # not there, or no link
    found = _PAYLOAD.fullmatch(os.path.relpath(place, root.resolve()))
    if found is None:
        return None
    artifact = ArtifactId(found["stage"], Key(found["key"]))
    return artifact, root / artifact.stage / artifact.key / found["payload"]


def _name_owner(error: OSError, link: Path) -> OSError:
    """The same error; of a link that only its owner can replace, it says who that is."""
    if not isinstance(error, PermissionError) or (owner := link.lstat().st_uid) == os.geteuid():
        return error
    return PermissionError(error.errno, f"only its owner, user id {owner}, can replace it here")
