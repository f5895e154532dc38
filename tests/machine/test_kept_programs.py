"""The folder of compiled programs, as those see it who only trim it."""

import os
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.machine.kept_programs import FOLDER, MAX_BYTES, find_limit, size_of_programs, trim_programs
from stages.machine.private_folder import open_private
from tests.mounts import mounted

DAY_NS = 86_400 * 10**9


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One with three programs, used one, two and three days after 1970 began."""
    with open_private(tmp_path / FOLDER) as folder:
        for days in (1, 2, 3):
            name = str(days) * 32
            folder.write(name, b"program")
            os.utime(tmp_path / FOLDER / name, ns=(days * DAY_NS, days * DAY_NS))
    return tmp_path


def programs(store: Path) -> set[str]:
    return {path.name[0] for path in (store / FOLDER).iterdir()}


SIZE = len(b"program") + 32  # and its digest


def test_the_least_recently_used_go_until_the_size_is_kept(store: Path):
    assert trim_programs(store, 2 * SIZE) == {"1" * 32: SIZE}
    assert programs(store) == {"2", "3"}


def test_what_was_not_used_since_then_goes(store: Path):
    assert [*trim_programs(store, None, used_since_ns=3 * DAY_NS)] == ["1" * 32, "2" * 32]
    assert programs(store) == {"3"}


def test_a_dry_run_deletes_nothing(store: Path):
    assert len(trim_programs(store, 0, is_dry_run=True)) == 3
    assert programs(store) == {"1", "2", "3"}


def test_within_the_limit_nothing_goes(store: Path):
    assert trim_programs(store, 3 * SIZE) == {}
    assert programs(store) == {"1", "2", "3"}


def test_without_a_folder_none_is_made(tmp_path: Path):
    assert trim_programs(tmp_path, 0) == {}
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_others_can_write_to_is_left_alone(store: Path):
    (store / FOLDER).chmod(0o777)
    with pytest.raises(StoreError, match="is not a folder that you own with mode 0700"):
        trim_programs(store, 0)
    assert programs(store) == {"1", "2", "3"}


def test_the_size_of_programs_is_that_of_their_files(store: Path):
    assert size_of_programs(store) == 3 * SIZE
    assert size_of_programs(store / "elsewhere") == 0


def test_programs_take_a_sixteenth_at_most_of_what_would_be_free_without_them(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=4m") as disk:
        assert find_limit(disk) == 2**22 // 16
        (disk / "artifact").write_bytes(bytes(2**20))
        (disk / FOLDER).mkdir()
        (disk / FOLDER / "kept").write_bytes(bytes(2**16))
        assert find_limit(disk) == 3 * 2**20 // 16


def test_on_a_large_disk_programs_have_a_limit_of_their_own(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=1024g") as disk:
        assert find_limit(disk) == MAX_BYTES
