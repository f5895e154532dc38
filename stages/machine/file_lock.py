"""Locks on files, by flock: the kernel ends one when its process ends, however it ends.

Owns how a lock file is opened so that other users can lock it too, and what is done on file systems without locks.
"""

import errno
import fcntl
import os
from pathlib import Path

from stages.machine.regular_files import open_descriptor

# What file systems say that have no locks, or whose lock service is not there.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def open_lock(path: Path, *, mode: int | None = None, follows_links: bool = True) -> int:
    """A descriptor of a lock file, which is created unless it is there. For reading alone where no more is allowed.

    Args:
        path: of the file.
        mode: permissions of a new file, whatever the umask; None: those that the umask leaves of 0666.
        follows_links: whether the file may be a link.
    Raises:
        OSError: it can neither be opened nor created, or is no regular file.
    """
    flags = 0 if follows_links else os.O_NOFOLLOW
    while True:
        try:
            return open_present_lock(path, flags)
        except FileNotFoundError:
            pass
        try:  # not both in one: in a sticky folder the kernel can refuse O_CREAT for a file of another user
            descriptor = open_descriptor(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            if path.is_symlink() and not path.exists():  # or it would be tried for ever
                raise OSError(errno.EINVAL, "is a link to nothing", os.fspath(path)) from None
            continue
        if mode is not None:
            os.fchmod(descriptor, mode)
        return descriptor


def open_present_lock(path: Path, flags: int = 0) -> int:
    """As `open_lock`, of a file that is there. Raises OSError."""
    try:
        return open_descriptor(path, flags | os.O_RDWR)
    except PermissionError:
        return open_descriptor(path, flags | os.O_RDONLY)  # enough for a lock, but not over NFS


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool | None:
    """Take a lock unless another open file has it; None where the file system has no locks. Raises OSError."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def wait_for_lock(descriptor: int, *, is_shared: bool = False) -> bool:
    """Wait until the lock is there; False where the file system has none. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
