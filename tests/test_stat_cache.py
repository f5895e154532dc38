"""Results remembered by a file's stamp."""

import os
from pathlib import Path

import pytest

from stages.stat_cache import StatCache

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


@pytest.mark.parametrize("damage", ["", "{", "[1]", "\x00"])
def test_a_damaged_cache_counts_as_empty(tmp_path: Path, file: Path, damage: str):
    (tmp_path / "cache.json").write_text(damage)
    assert StatCache(tmp_path / "cache.json").get("text", file, Counter()) == "one"
