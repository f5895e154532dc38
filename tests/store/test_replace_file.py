"""A small file is the one before or the new one, and its temporary name is known."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.store.drafts import Drafts
from stages.store.replace_file import read_whole, write_file
from stages.store.unfinished import is_unfinished
from tests.builders import NOBODY, as_another_user, let_others_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@pytest.mark.parametrize("is_synced", [True, False])
def test_a_file_is_written_and_replaced_and_nothing_else_stays(file: Path, is_synced: bool):
    for text in ("one\r\n", "zwei, für Montag"):
        write_file(file, text, is_synced=is_synced)
        assert file.read_bytes() == text.encode()
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("name", ["file.json", ".file.json", ".checked"])
def test_until_it_is_in_place_it_has_a_name_by_which_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    class Killed(BaseException):
        """As by SIGKILL: nothing is cleaned up."""

    def kill(_path: Path, _target: Path) -> None:
        raise Killed

    monkeypatch.setattr(Path, "replace", kill)
    monkeypatch.setattr(Path, "unlink", lambda _path, **_options: None)
    with pytest.raises(Killed):
        write_file(tmp_path / name, "text", is_synced=True)
    (left,) = tmp_path.iterdir()
    assert is_unfinished(left.name)
    assert left.name.startswith(f".{name.lstrip('.')}-")


def test_when_it_cannot_be_put_in_place_what_was_there_stays_and_nothing_is_left(file: Path):
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(file, "text", is_synced=False)
    assert [*file.parent.iterdir()] == [file]


def test_no_folder_is_made_for_it(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "folder" / "file", "text", is_synced=False)
    assert [*tmp_path.iterdir()] == []


def test_it_is_synced_before_it_has_its_name_and_the_name_after(file: Path, monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    synced, replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        synced(descriptor)

    def rename(path: Path, target: Path) -> None:
        done.append("name")
        replace(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    write_file(file, "text", is_synced=True)
    assert done == ["file", "name", "folder"]
    done.clear()
    write_file(file, "text", is_synced=False)
    assert done == ["name"]


def test_who_may_write_in_the_folder_may_write_the_file(file: Path):
    file.parent.chmod(0o777)
    before = os.umask(0o022)
    try:
        write_file(file, "text", is_synced=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666


WRITE = """
import pathlib, sys
from stages.store.replace_file import write_file
try:
    write_file(pathlib.Path(sys.argv[1]), sys.argv[2], is_synced=True)
except OSError as error:
    print(error)
"""


@pytest.mark.processes
@pytest.mark.parametrize(("mode", "may_write"), [(0o666, True), (0o644, False)])
def test_another_users_file_in_a_sticky_folder_is_written_in_place(file: Path, mode: int, may_write: bool):
    prefix = as_another_user(NOBODY)
    let_others_in(file.parent)
    file.write_text("what was there before")
    file.chmod(mode)
    file.parent.chmod(0o1777)
    done = subprocess.run(
        [*prefix, sys.executable, "-c", WRITE, str(file), "new"], capture_output=True, text=True, check=True
    )
    assert (done.stdout == "", done.stderr) == (may_write, "")
    assert file.read_text() == ("new" if may_write else "what was there before")
    assert (file.stat().st_uid, [*file.parent.iterdir()]) == (0, [file])


def test_a_part_of_a_file_is_read_again_when_its_writer_is_done(file: Path):
    looked, found = threading.Event(), list[object]()

    def read() -> object:
        text = file.read_text()
        looked.set()
        return json.loads(text)

    with Drafts(file.parent).exclusive():
        file.write_text("[1")
        reader = threading.Thread(target=lambda: found.append(read_whole(read, file.parent)))
        reader.start()
        looked.wait()
        file.write_text("[1, 2]")
    reader.join()
    assert found == [[1, 2]]


def test_what_is_wrong_while_nobody_writes_is_wrong(file: Path):
    with pytest.raises(ValueError, match="invalid literal"):
        read_whole(lambda: int("a part"), file.parent)
