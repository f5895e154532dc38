"""doit's records, opened and closed."""

import sqlite3
from pathlib import Path

import pytest
from doit.dependency import JSONCodec, SqliteDB

from stages.commands.database import Database


def test_what_was_written_is_there_for_doits_own_and_the_other_way_round(tmp_path: Path):
    for number, (writer, reader) in enumerate([(Database, SqliteDB), (SqliteDB, Database)]):
        first = writer(str(tmp_path / str(number)), JSONCodec())
        first.set("encode", "key", [1, "two"])
        first.dump()
        second = reader(str(tmp_path / str(number)), JSONCodec())
        assert second.get("encode", "key") == [1, "two"]
        second.dump()


def test_closing_keeps_what_was_written_and_drops_the_rest(tmp_path: Path):
    first = Database(str(tmp_path / "db"), JSONCodec())
    first.set("encode", "key", 1)
    first.dump()
    second = Database(str(tmp_path / "db"), JSONCodec())
    second.remove("encode")
    second.close()
    third = Database(str(tmp_path / "db"), JSONCodec())
    assert third.get("encode", "key") == 1
    third.close()


def test_it_can_be_closed_again(tmp_path: Path):
    database = Database(str(tmp_path / "db"), JSONCodec())
    database.dump()
    database.close()
    database.close()
    with pytest.raises(sqlite3.ProgrammingError):
        database.get("encode", "key")


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path):
    (tmp_path / "db").write_bytes(b"garbage" * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        Database(str(tmp_path / "db"), JSONCodec())
    assert (tmp_path / "db").read_bytes() == b"garbage" * 1000
