"""The tasks that later runs leave out, because somebody has said so: `.ignored.json` in the store.

Read by each run, written by `doit ignore` and `doit forget` alone, whole, under the store's lock. What it says is a
decision of a person, which nothing else in the store repeats: so a file that cannot be read is an error, and not empty.
"""

import json
from collections.abc import Collection, Set
from contextlib import suppress
from pathlib import Path

from stages.errors import StoreError
from stages.machine.json_files import read_json
from stages.machine.regular_files import reason_of
from stages.store.drafts import Drafts
from stages.store.replace_file import read_whole, write_file

IGNORED = ".ignored.json"


class IgnoredTasks:
    """Names of tasks in a store's file; without one, none is ignored."""

    def __init__(self, root: Path) -> None:
        """`root` is the store's folder."""
        self._root = root
        self._file = root / IGNORED

    def read(self) -> Set[str]:
        """The names.

        Raises:
            StoreError: the file cannot be read, or holds something else.
        """
        try:
            return read_whole(self._read, self._root)
        except (OSError, ValueError) as error:
            raise self._refusal(reason_of(error)) from error

    def change(self, *, add: Collection[str] = (), remove: Collection[str] = ()) -> None:
        """Add and remove names. A file that would stay as it is is not written, and one without names is deleted.

        Raises:
            StoreError: as `read`, or the file cannot be written.
        """
        if not add and self.read().isdisjoint(remove):
            return
        try:
            with Drafts(self._root).exclusive():  # another command may change it, too
                before = self._read_or_refuse()
                after = before - {*remove} | {*add}
                if after != before:
                    self._write(sorted(after))
        except OSError as error:
            raise StoreError(
                f"{self._file}: cannot be written ({error.strerror}). Make room or fix its permissions, and run it "
                "again; nothing has changed."
            ) from error

    def _read_or_refuse(self) -> Set[str]:
        try:
            return self._read()
        except (OSError, ValueError) as error:
            raise self._refusal(reason_of(error)) from error

    def _read(self) -> Set[str]:
        """Raises OSError, and ValueError where it holds something else."""
        try:
            names = read_json(self._file)
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("it is no list of names of tasks")
        return frozenset(names)

    def _refusal(self, reason: str) -> StoreError:
        return StoreError(
            f"{self._file}: cannot be read ({reason}). It names the tasks that `doit ignore` leaves out: correct it, "
            "or delete it and ignore them again."
        )

    def _write(self, names: list[str]) -> None:
        if not names:
            with suppress(PermissionError):  # another user's in a sticky folder
                self._file.unlink()
                return
        write_file(self._file, json.dumps(names, indent=1) + "\n", is_synced=True)
