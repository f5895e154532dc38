"""doit's records of what has run: the SQLite file, for commands that write to it and for those that only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from doit.dependency import SqliteDB

_HAS_RECORDS = "select 1 from sqlite_master where name = 'doit'"

# A run was killed while it wrote, and the next that writes undoes it. Until then: no records, which only save time.
_HALF_WRITTEN = "SQLITE_READONLY_ROLLBACK"


class Records(SqliteDB):  # type: ignore[misc] # doit has no types
    """As doit's own, but it can be closed at any time, and leaves nothing open where the file cannot be used."""

    _texts: dict[str, str] | None = None  # all records as they stand in the file, by task; None: not read

    def _sqlite3(self, name: str) -> sqlite3.Connection:
        """doit's connection, which its own method leaves open when the first statement fails: it is tried before."""
        with closing(sqlite3.connect(name)) as connection:
            connection.execute("create table if not exists doit (task_id text not null primary key, task_data json)")
        return super()._sqlite3(name)

    def _get_task_data(self, task_id: str) -> Any:
        """A task's record. doit asks the file for each task, which takes long when there are thousands."""
        if self._texts is None:
            rows = self._conn.execute("select task_id, cast(task_data as text) as text from doit")
            self._texts = {row["task_id"]: row["text"] for row in rows}
        text = self._texts.get(task_id)
        return self.codec.decode(text) if text else {}

    def remove(self, task_id: str) -> None:
        """As doit's."""
        super().remove(task_id)
        self._texts = None

    def remove_all(self) -> None:
        """As doit's."""
        super().remove_all()
        self._texts = None

    def close(self) -> None:
        """Close the connection; what was not written by `dump` is lost. Calling it again does nothing."""
        self._conn.close()


class RecordsReader:
    """A database of doit's that is only read. It need not be there, and its folder need not be writable.

    What a command changes is forgotten when it ends. No connection stays open between two calls.
    """

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:  # noqa: ARG002 (doit's)
        """`name` is the file, `codec` decodes a task's record.

        Raises:
            sqlite3.Error: the file is there and cannot be read, or is no database.
        """
        self.name = name
        self._codec = codec
        self._changed: dict[str, dict[str, Any]] = {}  # records that have been read or changed, by task
        self._is_empty = not self._select(_HAS_RECORDS)

    def get(self, task_id: str, dependency: str) -> Any:
        """A value of a task's record, or None."""
        return self._record(task_id).get(dependency)

    def in_(self, task_id: str) -> bool:
        """Whether a task has a record."""
        return bool(self._record(task_id))

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All tasks that have a record in the file, by name."""
        rows = [] if self._is_empty else self._select("select task_id, task_data from doit order by task_id")
        for task_id, text in rows:
            yield task_id, self._codec.decode(text)

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Change a value until the command ends."""
        self._record(task_id)[dependency] = value

    def remove(self, task_id: str) -> None:
        """Forget a task's record until the command ends."""
        self._changed[task_id] = {}

    def remove_all(self) -> None:
        """Forget all records until the command ends."""
        self._changed, self._is_empty = {}, True

    def dump(self) -> None:
        """What doit calls at the end; there is nothing to do."""

    def _record(self, task_id: str) -> dict[str, Any]:
        if task_id not in self._changed:
            statement = "select task_data from doit where task_id = ?"
            rows = [] if self._is_empty else self._select(statement, task_id)
            self._changed[task_id] = self._codec.decode(rows[0][0]) if rows else {}
        return self._changed[task_id]

    def _select(self, statement: str, *arguments: str) -> list[tuple[Any, ...]]:
        path = Path(self.name).absolute()
        if not path.exists():
            return []
        if path.is_dir():  # which SQLite opens, for reading, and then calls a disk I/O error
            raise sqlite3.OperationalError("unable to open database file")
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            try:
                return connection.execute(statement, arguments).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != _HALF_WRITTEN:
                    raise
                return []
