"""Results remembered by a file's stamp."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from stages.store.stat_cache import StatCache

HOUR_NS = 3_600_000_000_000


class Counter:
    """Reads a file's text and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> str:
        self.calls += 1
        return path.read_text()


def write_aged(path: Path, text: str, age_ns: int = HOUR_NS) -> None:
    path.write_text(text)
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now - age_ns, now - age_ns))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    write_aged(path, "one")
    return path


def test_an_unchanged_file_is_read_once_across_processes(tmp_path: Path, file: Path):
    read = Counter()
    for _ in range(3):
        cache = StatCache(tmp_path / "cache.json")
        assert cache.get("text", file, read) == "one"
        cache.save()
    assert read.calls == 1


def test_a_file_changed_to_the_same_size_is_read_again(tmp_path: Path, file: Path):
    cache = StatCache(tmp_path / "cache.json")
    cache.get("text", file, Counter())
    write_aged(file, "two", age_ns=HOUR_NS // 2)
    assert cache.get("text", file, Counter()) == "two"


def test_a_file_younger_than_the_clock_is_sure_of_is_never_remembered(tmp_path: Path, file: Path):
    read = Counter()
    cache = StatCache(tmp_path / "cache.json")
    file.write_text("new")
    cache.get("text", file, read)
    cache.get("text", file, read)
    assert read.calls == 2


def test_purposes_do_not_mix(tmp_path: Path, file: Path):
    cache = StatCache(tmp_path / "cache.json")
    assert cache.get("text", file, Counter()) == "one"
    assert cache.get("size", file, lambda path: path.stat().st_size) == 3


def test_a_file_that_is_changed_while_it_is_read_is_read_again(tmp_path: Path):
    """The clock runs on by an hour during the reading."""
    file = tmp_path / "file"
    file.write_text("new")
    times = iter([time.time_ns(), time.time_ns() + HOUR_NS, time.time_ns() + HOUR_NS])
    cache = StatCache(tmp_path / "cache.json", clock=lambda: next(times))
    read = Counter()
    cache.get("text", file, read)
    cache.get("text", file, read)
    assert read.calls == 2


def test_a_file_from_the_future_is_remembered(tmp_path: Path):
    file = tmp_path / "file"
    write_aged(file, "one", age_ns=-HOUR_NS)
    cache = StatCache(tmp_path / "cache.json", clock=lambda: time.time_ns() + HOUR_NS // 2)
    read = Counter()
    assert [cache.get("text", file, read) for _ in range(2)] == ["one", "one"]
    assert read.calls == 1


def test_a_file_whose_time_was_set_back_is_read_again(tmp_path: Path, file: Path):
    cache = StatCache(tmp_path / "cache.json")
    cache.get("text", file, Counter())
    before = file.stat().st_mtime_ns
    time.sleep(0.05)  # so that the file system's clock moves on
    file.write_text("two")
    os.utime(file, ns=(before, before))
    assert cache.get("text", file, Counter()) == "two"


@pytest.mark.parametrize("damage", ["", "{", "[1]", "[]", "\x00", "[" * 100_000, '"text"', "\ud800"])
def test_a_damaged_cache_counts_as_empty(tmp_path: Path, file: Path, damage: str):
    (tmp_path / "cache.json").write_bytes(damage.encode(errors="surrogatepass"))
    assert StatCache(tmp_path / "cache.json").get("text", file, Counter()) == "one"


@pytest.mark.parametrize("entry", [1, None, "ab", [], [1], [[], "lie"], [[3], "lie"], {"0": []}, [1, 2, 3]])
def test_a_damaged_entry_counts_as_none(tmp_path: Path, file: Path, entry: object):
    (tmp_path / "cache.json").write_text(json.dumps({f"text {file}": entry}))
    cache = StatCache(tmp_path / "cache.json")
    assert cache.get("text", file, Counter()) == "one"
    cache.save()
    read = Counter()
    assert StatCache(tmp_path / "cache.json").get("text", file, read) == "one"
    assert read.calls == 0


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_a_cache_that_cannot_be_written_is_no_error_and_leaves_nothing(tmp_path: Path, file: Path, obstacle: str):
    """Its folder is a file, or its file is a folder."""
    path = tmp_path / "place" / "cache.json"
    if obstacle == "file":
        (tmp_path / "place").write_text("")
    else:
        path.mkdir(parents=True)
    cache = StatCache(path)
    cache.get("text", file, Counter())
    cache.save()
    assert {found.name for found in tmp_path.rglob("*")} <= {"file", "place", "cache.json"}


def test_where_its_folder_is_not_there_nothing_is_created(tmp_path: Path, file: Path):
    cache = StatCache(tmp_path / "place" / "cache.json")
    cache.get("text", file, Counter())
    cache.save()
    assert [*tmp_path.iterdir()] == [file]


def test_the_cache_is_readable_by_whom_the_umask_admits(tmp_path: Path, file: Path):
    cache = StatCache(tmp_path / "cache.json")
    cache.get("text", file, Counter())
    before = os.umask(0o027)
    try:
        cache.save()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache.json").stat().st_mode) == 0o640
