"""A new text file is there as a whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from stages.machine.new_file import write_new_file


def test_it_is_written_and_its_folder_is_made(tmp_path: Path):
    write_new_file(tmp_path / "folder/file", "a\r\nb")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert (tmp_path / "folder/file").read_bytes() == b"a\r\nb"


def test_what_is_there_stays(tmp_path: Path):
    (tmp_path / "file").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_new_file(tmp_path / "file", "text")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_when_it_is_cut_off_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException):
    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_new_file(tmp_path / "file", "text")
    assert [*tmp_path.iterdir()] == []


def test_a_file_system_without_links_takes_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    write_new_file(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    with pytest.raises(FileExistsError):
        write_new_file(tmp_path / "file", "other")
