"""Whether a store's folders can take what a run will write, found out by doing it once with next to nothing.

Without it, a folder that another user owns, or that lies on another file system, is noticed when a finished artifact
cannot be moved into it, after hours. Leaves nothing behind but the folders themselves, empty.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from stages.errors import StoreError
from stages.store.drafts import Drafts, sync
from stages.store.layout import LOGS
from stages.store.root_folder import require_writable
from stages.store.sharing import make_folder
from stages.store.unfinished import name_unfinished

_PROBE = "probe"
_ELSEWHERE = "set `artifacts` in params/machine.toml to another folder"


def find_folder_faults(
    root: Path, stages: Iterable[str], *, replaced: Iterable[Path] = (), links: Path | None = None
) -> list[str]:
    """What keeps artifacts from being written, synced and moved to their places, a message per folder.

    Args:
        root: the store.
        stages: whose artifacts will be published.
        replaced: folders of artifacts that are there and will be made again.
        links: the folder of links to videos, if some will be made.
    """
    faults: list[str | None] = []
    stages = dict.fromkeys(stages)
    if stages:
        try:
            require_writable(root)
            with Drafts(root).new() as space:
                if fault := _attempt(root, space.parent, lambda: _write(space)):
                    return [fault]  # then nothing else can be tried
                faults.append(_attempt(root, root, lambda: sync(root)))
                faults += [_attempt(root, root / stage, _publishing(space, root, stage)) for stage in stages]
                if os.path.lexists(logs := root / LOGS):
                    faults.append(_attempt(root, logs, lambda: _write_in(logs)))
        except StoreError as error:
            return [str(error)]
    faults += map(_explain_kept, replaced)
    if links is not None:
        faults.append(_attempt(root, links, lambda: _link(root, links)))
    return [fault for fault in faults if fault]


def _attempt(root: Path, folder: Path, attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return _explain(root, folder, error)
    return None


def _write(space: Path) -> None:
    file = space / "probe"
    file.write_bytes(b"1")
    sync(file)
    sync(space)
    file.unlink()


def _write_in(folder: Path) -> None:
    file = name_unfinished(folder / _PROBE)
    file.touch()
    file.unlink()


def _publishing(space: Path, root: Path, stage: str) -> Callable[[], None]:
    folder = root / stage

    def publish() -> None:
        (space / _PROBE).mkdir(exist_ok=True)
        make_folder(folder, root)
        probe = name_unfinished(folder / _PROBE)  # in a sticky folder, nobody may take the place of another user's
        (space / _PROBE).rename(probe)
        sync(folder)
        probe.rmdir()

    return publish


def _link(root: Path, folder: Path) -> None:
    make_folder(folder, root)
    link = name_unfinished(folder / _PROBE)
    link.symlink_to(_PROBE)
    link.unlink()


def _explain(root: Path, folder: Path, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return (
            f"{folder}: is on another file system than the drafts of {root}, from which finished artifacts are moved "
            f"into it. Keep the whole store on one: {_ELSEWHERE}."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        return f"{folder}: is no folder. Move away what is in its place."
    reason = error.strerror
    if error.errno == errno.ENOSPC and (free := os.statvfs(root)).f_bfree and not free.f_ffree:
        reason = f"{reason}: there are no inodes left"
    return f"{folder}: cannot be written ({reason}). Make room or fix its permissions, or {_ELSEWHERE}."


def _explain_kept(artifact: Path) -> str | None:
    """Why an artifact cannot be moved away. That is not tried: somebody may be reading it."""
    try:
        status, parent = artifact.lstat(), artifact.parent.stat()
    except OSError:
        return None  # it is gone, or its folder cannot be used, which is said of the folder
    is_sticky = bool(parent.st_mode & stat.S_ISVTX)
    is_kept = is_sticky and os.geteuid() not in (0, status.st_uid, parent.st_uid)
    if not is_kept and (artifact.is_symlink() or os.access(artifact, os.W_OK)):
        return None
    return (
        f"{artifact}: is to be made again, but cannot be replaced: it belongs to another user (id {status.st_uid}) or "
        f"may not be changed. Ask its owner to remove it, or {_ELSEWHERE}."
    )
