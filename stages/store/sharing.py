"""A store of several users: where others may write in its folder, they may in all that is made below it.

The umask of who happened to come first would decide otherwise. Where the folder is writable by its owner alone, the
umask decides, as for any file.
"""

import stat
from contextlib import suppress
from pathlib import Path

from stages.store.unfinished import name_unfinished

_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FOLDER = stat.S_IRWXG | stat.S_IRWXO | stat.S_ISVTX
_FILE = _FOLDER & 0o666


def share(path: Path, root: Path) -> None:
    """Give others the permissions on a folder or file of a store that they have on the store's folder.

    Args:
        path: of this user, in the store; another user's is left as it is.
        root: the store's folder.
    """
    others = root.stat().st_mode
    if not others & _WRITE:
        return
    mode = path.stat().st_mode
    with suppress(PermissionError):
        path.chmod(mode | others & (_FOLDER if stat.S_ISDIR(mode) else _FILE))


def lock_mode(root: Path) -> int | None:
    """The permissions of a new lock file in a store; None: what the umask leaves."""
    others = root.stat().st_mode
    return 0o600 | others & _FILE if others & _WRITE else None


def make_folder(path: Path, root: Path) -> None:
    """Make a folder of a store, with those above it that are not there, and share each. Raises OSError.

    Args:
        path: in the store; if it is there, it is left as it is.
        root: the store's folder, which is made with the permissions that the umask leaves.
    """
    if path.is_dir():
        return
    root.mkdir(parents=True, exist_ok=True)
    depth = len(path.relative_to(root).parts)
    for folder in reversed([path, *path.parents][:depth]):
        if not folder.is_dir():
            _make_shared(folder, root)


def _make_shared(folder: Path, root: Path) -> None:
    """Make one folder. Whoever sees it has the permissions that others are to have, from the first moment on."""
    if not root.stat().st_mode & _WRITE:
        folder.mkdir(exist_ok=True)  # another process may make it at the same time
        return
    new = name_unfinished(folder)
    new.mkdir()
    try:
        share(new, root)
        new.rename(folder)  # also over an empty one, which another process has made just now
    except OSError:
        with suppress(OSError):
            new.rmdir()
        if not folder.is_dir():
            raise
