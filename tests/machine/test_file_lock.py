"""Locks on files."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stages.machine.file_lock import open_lock, open_present_lock, try_lock, wait_for_lock

NO_LOCKS = """
import errno, os, sys
from pathlib import Path
from stages.machine.file_lock import open_lock, try_lock, wait_for_lock
def refuse(event, arguments):
    if event == "fcntl.flock":
        raise OSError(int(sys.argv[2]), "refused")
descriptor = open_lock(Path(sys.argv[1]))
sys.addaudithook(refuse)
print(try_lock(descriptor), wait_for_lock(descriptor))
"""


def test_one_at_a_time_has_a_lock_and_several_a_shared_one(tmp_path: Path):
    first, second, third = (open_lock(tmp_path / "lock") for _ in range(3))
    assert try_lock(first)
    assert try_lock(second) is False
    assert try_lock(second, is_shared=True) is False
    os.close(first)
    assert try_lock(second, is_shared=True)
    assert wait_for_lock(third, is_shared=True)
    assert try_lock(third) is False
    os.close(second)
    os.close(third)


@pytest.mark.processes
@pytest.mark.parametrize("error", ["ENOLCK", "ENOTSUP"])
def test_a_file_system_without_locks_says_so_and_stops_nobody(tmp_path: Path, error: str):
    command = [sys.executable, "-c", NO_LOCKS, str(tmp_path / "lock"), str(getattr(errno, error))]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "None False\n"


def test_a_new_lock_has_the_permissions_that_are_asked_for_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o077)
    try:
        os.close(open_lock(tmp_path / "lock", mode=0o666))
        os.close(open_lock(tmp_path / "own"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o666
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600


def test_a_lock_that_is_not_there_can_be_asked_for_without_making_it(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        open_present_lock(tmp_path / "lock")


def test_a_fifo_in_the_place_of_a_lock_is_refused_and_makes_nobody_wait(tmp_path: Path):
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(OSError, match="is a FIFO, not a file"):
        open_lock(tmp_path / "lock")


def test_a_link_is_refused_where_it_is_not_to_be_followed(tmp_path: Path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_lock(tmp_path / "lock", follows_links=False)
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_to_nothing_in_place_of_a_lock_is_an_error_and_is_not_tried_for_ever(tmp_path: Path):
    (tmp_path / "lock").symlink_to("nowhere")
    with pytest.raises(OSError, match="is a link to nothing"):
        open_lock(tmp_path / "lock")
