"""How doit tells whether a file has changed."""

import json
import os
from pathlib import Path

import pytest

from stages.commands.file_checker import Xxh3Checker

CHECKER = Xxh3Checker()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("one")
    return path


def is_modified(file: Path, state: object) -> bool:
    return CHECKER.check_modified(str(file), file.stat(), state)


def test_an_unchanged_file_is_not_modified(file: Path):
    assert not is_modified(file, CHECKER.get_state(str(file), None))


def test_a_state_is_the_same_when_it_comes_from_json(file: Path):
    state = json.loads(json.dumps(CHECKER.get_state(str(file), None)))
    assert not is_modified(file, state)
    assert CHECKER.get_state(str(file), state) is None


def test_a_touched_file_is_not_modified(file: Path):
    state = CHECKER.get_state(str(file), None)
    os.utime(file, ns=(0, 0))
    assert not is_modified(file, state)


def test_other_content_of_the_same_size_is_modified(file: Path):
    state = CHECKER.get_state(str(file), None)
    file.write_text("two")
    os.utime(file, ns=(0, 0))
    assert is_modified(file, state)


def test_another_size_is_modified_even_at_the_same_time(file: Path):
    state = CHECKER.get_state(str(file), None)
    stamp = file.stat().st_mtime_ns
    file.write_text("three")
    os.utime(file, ns=(stamp, stamp))
    assert is_modified(file, state)


def test_a_state_that_still_holds_is_kept(file: Path):
    state = CHECKER.get_state(str(file), None)
    assert CHECKER.get_state(str(file), state) is None
    os.utime(file, ns=(0, 0))
    assert CHECKER.get_state(str(file), state) != state
