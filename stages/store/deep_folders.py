"""Deletes a folder with all that is in it, however deep it is: of a path there can be no more than some thousand bytes.

`shutil.rmtree` calls itself for each level before Python 3.13, and holds a file open for each.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def delete_folder(folder: Path) -> None:
    """Delete a folder and all below it; of a link, there or in it, nothing but the link itself.

    Raises:
        OSError: something in it could not be deleted, the first of it; all else was. Or it is not there, or no folder.
    """
    descent = _Descent(os.open(folder, _FOLDER))
    try:
        descent.empty()
    finally:
        os.close(descent.here)
    try:
        folder.rmdir()
    except OSError as error:
        raise (descent.faults or [error])[0] from None


class _Descent:
    """The way down to one folder at a time, which alone is held open. What cannot be deleted is noted and left.

    Attributes:
        here: descriptor of the folder.
        faults: why something stays.
    """

    def __init__(self, descriptor: int) -> None:
        self.here = descriptor
        self.faults: list[OSError] = []
        self._way: list[tuple[str, os.stat_result]] = []  # name of each folder that was entered, and the one above it

    def empty(self) -> None:
        """Delete all that is below the first folder. Raises OSError: somebody else moves folders meanwhile."""
        waiting = [self._delete_files()]
        while waiting[-1] or self._way:
            if not waiting[-1]:
                waiting.pop()
                self._leave()
            elif self._enter(waiting[-1].pop()):
                waiting.append(self._delete_files())

    def _delete_files(self) -> list[str]:
        """Delete what is no folder; the names of the others."""
        folders = []
        with os.scandir(self.here) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    with self._noting():
                        os.unlink(entry.name, dir_fd=self.here)
        return folders

    def _enter(self, name: str) -> bool:
        with self._noting():
            below, above = os.open(name, _FOLDER, dir_fd=self.here), os.fstat(self.here)
            os.close(self.here)
            self.here = below
            self._way.append((name, above))
            return True
        return False

    def _leave(self) -> None:
        """Go up, and delete the folder that was left."""
        name, before = self._way.pop()
        above = os.open("..", _FOLDER, dir_fd=self.here)
        os.close(self.here)
        self.here = above
        if not os.path.samestat(os.fstat(above), before):  # or what lies elsewhere would be deleted
            raise OSError(errno.EBUSY, "was moved while it was being deleted", name)
        with self._noting():
            os.rmdir(name, dir_fd=self.here)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass  # another process deletes it, too
        except OSError as error:
            self.faults.append(error)
