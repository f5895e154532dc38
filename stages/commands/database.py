"""doit's records of what has run: its SQLite file, whose connection does not outlive a command."""

import sqlite3
from contextlib import closing

from doit.dependency import SqliteDB


class Database(SqliteDB):  # type: ignore[misc] # doit has no types
    """As doit's own, but it can be closed at any time, and leaves nothing open where the file cannot be used."""

    def _sqlite3(self, name: str) -> sqlite3.Connection:
        """doit's connection, which its own method leaves open when the first statement fails: it is tried before."""
        with closing(sqlite3.connect(name)) as connection:
            connection.execute("create table if not exists doit (task_id text not null primary key, task_data json)")
        return super()._sqlite3(name)

    def close(self) -> None:
        """Close the connection; what was not written by `dump` is lost. Calling it again does nothing."""
        self._conn.close()
