"""doit's records: written and closed, or read and left as they are."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from doit.dependency import JSONCodec, SqliteDB

from stages.commands.records import Records, RecordsReader

KILLED_WHILE_WRITING = """
import os, sqlite3, signal
connection = sqlite3.connect("db")
connection.execute("pragma cache_size = 2")  # so that it writes before it commits
connection.execute("update doit set task_data = '" + "x" * 100 + "'")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Records of two tasks, as doit writes them."""
    database = SqliteDB(str(tmp_path / "db"), JSONCodec())
    database.set("encode", "deps:", ["a", "b"])
    database.set("decode", "checker:", "Xxh3Checker")
    database.dump()
    return tmp_path / "db"


def read(file: Path) -> RecordsReader:
    return RecordsReader(str(file), JSONCodec())


def test_what_doit_has_written_is_read(file: Path):
    records = read(file)
    assert records.get("encode", "deps:") == ["a", "b"]
    assert records.get("encode", "checker:") is None
    assert records.get("export", "deps:") is None
    assert [records.in_(task) for task in ("encode", "decode", "export")] == [True, True, False]


def test_all_records_are_read_in_the_order_of_their_names(file: Path):
    assert list(read(file).items()) == [("decode", {"checker:": "Xxh3Checker"}), ("encode", {"deps:": ["a", "b"]})]


def test_what_is_changed_is_seen_and_not_written(file: Path):
    before = file.read_bytes()
    records = read(file)
    records.set("encode", "ignore:", "1")
    records.remove("decode")
    assert (records.get("encode", "ignore:"), records.in_("decode")) == ("1", False)
    records.remove_all()
    assert not records.in_("encode")
    records.dump()
    assert file.read_bytes() == before
    assert read(file).in_("decode")


def test_a_file_that_is_not_there_has_no_records_and_is_not_made(tmp_path: Path):
    records = read(tmp_path / "no" / "db")
    assert not records.in_("encode")
    assert list(records.items()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_which_nothing_is_written_yet_has_no_records(tmp_path: Path):
    (tmp_path / "db").touch()
    assert not read(tmp_path / "db").in_("encode")
    assert (tmp_path / "db").read_bytes() == b""


@pytest.mark.parametrize("name", ["db", "d?b#%20"])
def test_a_file_may_have_any_name(file: Path, name: str):
    assert read(file.rename(file.with_name(name))).in_("encode")


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path):
    (tmp_path / "db").write_bytes(b"garbage" * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        read(tmp_path / "db")


def test_while_another_process_writes_the_records_of_before_are_read(file: Path):
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    other.execute("delete from doit")
    assert read(file).in_("encode")
    other.execute("rollback")
    other.close()


def test_a_file_whose_writer_was_killed_has_no_records_until_somebody_writes(tmp_path: Path):
    writer = SqliteDB(str(tmp_path / "db"), JSONCodec())
    for number in range(1000):
        writer.set(f"encode:{number}", "ignore:", "1")
    writer.dump()
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING], cwd=tmp_path, check=False)
    assert (tmp_path / "db-journal").is_file()
    assert not read(tmp_path / "db").in_("encode:1")
    SqliteDB(str(tmp_path / "db"), JSONCodec()).dump()
    assert read(tmp_path / "db").in_("encode:1")


def test_what_was_written_is_there_for_doits_own_and_the_other_way_round(tmp_path: Path):
    for number, (writer, reader) in enumerate([(Records, SqliteDB), (SqliteDB, Records)]):
        first = writer(str(tmp_path / str(number)), JSONCodec())
        first.set("encode", "key", [1, "two"])
        first.dump()
        second = reader(str(tmp_path / str(number)), JSONCodec())
        assert second.get("encode", "key") == [1, "two"]
        second.dump()


def test_closing_keeps_what_was_written_and_drops_the_rest(tmp_path: Path):
    first = Records(str(tmp_path / "db"), JSONCodec())
    first.set("encode", "key", 1)
    first.dump()
    second = Records(str(tmp_path / "db"), JSONCodec())
    second.remove("encode")
    second.close()
    third = Records(str(tmp_path / "db"), JSONCodec())
    assert third.get("encode", "key") == 1
    third.close()


def test_it_can_be_closed_again(tmp_path: Path):
    records = Records(str(tmp_path / "db"), JSONCodec())
    records.dump()
    records.close()
    records.close()
    with pytest.raises(sqlite3.ProgrammingError):
        records.get("encode", "key")


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path):
    (tmp_path / "db").write_bytes(b"garbage" * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        Records(str(tmp_path / "db"), JSONCodec())
    assert (tmp_path / "db").read_bytes() == b"garbage" * 1000


def test_records_for_a_run_are_read_by_one_question_and_what_is_removed_is_gone(file: Path):
    records, asked = Records(str(file), JSONCodec()), []
    records._conn.set_trace_callback(asked.append)
    assert records.get("encode", "deps:") == ["a", "b"]
    assert records.get("decode", "checker:") == "Xxh3Checker"
    assert records.get("export", "deps:") is None
    assert len(asked) == 1
    records.remove("encode")
    assert records.get("encode", "deps:") is None
    records.set("export", "deps:", ["c"])
    records.dump()
    assert dict(read(file).items()) == {"decode": {"checker:": "Xxh3Checker"}, "export": {"deps:": ["c"]}}
    records = Records(str(file), JSONCodec())
    records.remove_all()
    assert records.get("decode", "checker:") is None
    records.close()
