"""Removes artifacts, or un-seals them: steps that nobody sees half done, and that need no room on the disk."""

import os
import stat
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

from stages.store.manifest import FORGOTTEN, MANIFEST


def forget_artifact(folder: Path) -> bool:
    """Have the artifact in `folder` made again by the next run. False when there is none. Raises OSError."""
    try:
        (folder / MANIFEST).replace(folder / FORGOTTEN)
    except FileNotFoundError:
        return False
    return True


def delete_artifact(folder: Path, exclusive: AbstractContextManager[None]) -> bool:
    """Delete the artifact in `folder`, what says that it is one first. False when there is none. Raises OSError.

    An artifact that is put in its place meanwhile stays, since this one is held open; and so does a folder in it, which
    is somebody's own.

    Args:
        folder: the artifact's; of one that is a link to another place, only the link is deleted.
        exclusive: within it, nobody renames artifacts.
    """
    with ExitStack() as stack:
        with exclusive:
            if folder.is_symlink():
                folder.unlink()  # what it leads to is somebody's own
                return True
            try:
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            stack.callback(os.close, opened)
            for name in (MANIFEST, FORGOTTEN):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=opened)
        for name in os.listdir(opened):  # noqa: PTH208 (of an open folder)
            with suppress(FileNotFoundError):  # another deletes it, too
                if not _is_folder(name, opened):
                    os.unlink(name, dir_fd=opened)
    with suppress(OSError):
        folder.rmdir()
    return True


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
