"""Where artifacts are written before they have a name, and the lock under which names change.

A draft is a folder `<root>/.drafts/<random>/`; beside it lies `<random>.lock`, which its writer holds, so that what a
killed writer has left can be distinguished from what is being written. Nobody reads a draft.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from stages.errors import StoreError
from stages.machine.file_lock import open_lock, open_present_lock, try_lock, wait_for_lock
from stages.machine.regular_files import is_damage, open_descriptor, reason_of
from stages.store.deep_folders import delete_folder
from stages.store.layout import DRAFTS
from stages.store.sharing import lock_mode, make_folder, share

_LOCK = ".lock"  # held for renames and for looks that must not fall between two of them, never for long work
_LOCK_SUFFIX = ".lock"


class Drafts:
    """The drafts of a store, for any number of processes and threads."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder, created when first written to."""
        self._root = root

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep all other processes and threads from renaming anything until the block ends.

        Raises:
            StoreError: what has the lock's name is no file.
            OSError: it can neither be opened nor made.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with _closing(self._open_lock()) as lock:
            wait_for_lock(lock)  # without locks, leases keep writers of one artifact apart
            yield

    def _open_lock(self) -> int:
        lock = self._root / _LOCK
        try:
            return open_lock(lock, mode=lock_mode(self._root))
        except OSError as error:
            if not is_damage(error) or not os.path.lexists(lock):
                raise
            raise StoreError(
                f"{lock}: cannot be locked ({reason_of(error)}). Delete what is in its place: it is made again."
            ) from error

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Nobody renames anything until the block ends; others may look as well. Creates nothing.

        Raises:
            OSError: it cannot be locked, for example because nothing has been written yet.
        """
        with _closing(open_descriptor(self._root / _LOCK)) as lock:
            wait_for_lock(lock, is_shared=True)
            yield

    @contextmanager
    def new(self) -> Iterator[Path]:
        """A new folder on the store's file system, for the time of the block; what is left in it is deleted.

        Raises:
            StoreError: it cannot be written.
        """
        drafts = self._root / DRAFTS
        lock = drafts / f"{secrets.token_hex(8)}{_LOCK_SUFFIX}"
        with ExitStack() as stack:
            try:
                if not drafts.is_dir():
                    make_folder(drafts, self._root)
                    with suppress(PermissionError):  # a folder that may not be read cannot be synced
                        sync(self._root.parent)  # in which the store may have been made just now
                with self.exclusive():  # so that no sweep meets the lock file before it is locked
                    wait_for_lock(stack.enter_context(_closing(open_lock(lock, mode=lock_mode(self._root)))))
                    stack.callback(_delete, lock)
                    lock.with_suffix("").mkdir()
                    share(lock.with_suffix(""), self._root)
            except OSError as error:
                raise StoreError(
                    f"{drafts}: cannot be written ({error.strerror}). Set `artifacts` in "
                    "params/machine.toml to a folder that can."
                ) from error
            yield lock.with_suffix("")

    def sweep(self) -> None:
        """Delete what writers that are gone have left. Never raises: the rest waits for another time.

        On a file system without locks nothing tells a writer that is gone from one that writes, and all stays.
        """
        with suppress(OSError):
            locks = [*(self._root / DRAFTS).glob(f"*{_LOCK_SUFFIX}")]
            if not locks:
                return
            with _closing(open_present_lock(self._root / _LOCK)) as all_names:
                if try_lock(all_names):
                    for lock in locks:
                        with suppress(OSError), _closing(open_present_lock(lock)) as writers:
                            if try_lock(writers):
                                _delete(lock)


def make_durable(folder: Path) -> None:
    """Give a folder's files the permissions that the umask asks for, whoever wrote them, and sync all to disk."""
    give_permissions(folder)
    for path in folder.iterdir():
        sync(path)
    sync(folder)


def give_permissions(folder: Path) -> None:
    """Give a folder's files the permissions that the umask asks for, whoever wrote them."""
    mode = folder.stat().st_mode & 0o666  # the folder was made by mkdir, under the same umask
    for path in folder.iterdir():
        path.chmod(mode)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    """An open file for the time of the block, and with it the locks on it."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _delete(lock: Path) -> None:
    """Delete a draft. Its lock file goes last, so that a sweep finds what could not be deleted."""
    with suppress(OSError):
        delete_folder(lock.with_suffix(""))
    if not lock.with_suffix("").exists():
        lock.unlink(missing_ok=True)
