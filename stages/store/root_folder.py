"""The store's own folder: what it is, looked at in one place, so that every command says the same of a strange one.

Whether the folders below it can take what a run makes is found out in folders.py.
"""

import errno
import os
import stat
from pathlib import Path
from types import MappingProxyType
from typing import Final

from stages.errors import StoreError

_ELSEWHERE: Final = "set `artifacts` in params/machine.toml to another folder"
_KINDS: Final = MappingProxyType({
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
})  # fmt: skip


def require_folder(root: Path) -> None:
    """Raise StoreError unless a store is at `root`, or could be made there; the message says what is in its place."""
    try:
        mode = root.stat().st_mode
    except FileNotFoundError:
        if (nearest := _nearest(root)).is_symlink() and not nearest.exists():
            raise StoreError(
                f"{nearest}: is a link to nothing: {nearest.readlink()} is not there. Make that folder, mount its "
                "disk, or delete the link."
            ) from None
    except OSError as error:
        raise StoreError(_explain(root, error)) from error
    else:
        if not stat.S_ISDIR(mode):
            raise StoreError(_explain_kind(root, mode))


def require_writable(root: Path) -> None:
    """Make the store's folder unless it is there. Raises StoreError: it cannot be made, or not be written."""
    require_folder(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise StoreError(_explain_read_only(root)) from error
        raise StoreError(
            f"{root}: cannot be made ({error.strerror}). Fix the permissions of the folder above it, or {_ELSEWHERE}."
        ) from error
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise StoreError(_explain_read_only(root))
    if not os.access(root, os.W_OK | os.X_OK):
        raise StoreError(
            f"{root}: cannot be written ({os.strerror(errno.EACCES)}). Fix its permissions, or {_ELSEWHERE}."
        )


def _nearest(path: Path) -> Path:
    """The path, or what is there of the path to it, be it a link to nothing."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def _explain(root: Path, error: OSError) -> str:
    nearest = _nearest(root)
    if error.errno == errno.ELOOP and nearest.is_symlink():
        return f"{nearest}: is a link that leads back to itself. Delete it, or let it lead to a folder."
    if error.errno == errno.ENOTDIR and nearest != root:
        return _explain_kind(nearest, nearest.stat().st_mode)
    return f"{root}: cannot be looked at ({error.strerror}). Fix that, or {_ELSEWHERE}."


def _explain_kind(path: Path, mode: int) -> str:
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    return f"{path}: is {kind}, and not a folder. Move it away, or {_ELSEWHERE}."


def _explain_read_only(root: Path) -> str:
    return f"{root}: is on a read-only file system. Mount it for writing, or {_ELSEWHERE}."
