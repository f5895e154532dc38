"""What another user could have written is not read, and a file is whole and under its own name, or refused."""

import os
import stat
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.machine.private_folder import open_private

NAME = "a" * 32
PAYLOAD = b"payload" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a file."""
    folder = tmp_path / "folder"
    with open_private(folder) as private:
        private.write(NAME, PAYLOAD)
    return folder


def read(folder: Path, name: str = NAME) -> bytes | None:
    with open_private(folder) as private:
        return private.read(name)


def refusal(folder: Path) -> str:
    with pytest.raises(StoreError) as error, open_private(folder):
        pass
    return str(error.value)


def not_private(folder: Path) -> str:
    return (
        f"{folder}: is not a folder that you own with mode 0700, and whoever can write there could run code as you. "
        "Delete it, and it is made again; on a file system without owners and modes, set `artifacts` in "
        "params/machine.toml to a folder elsewhere."
    )


def test_what_was_written_is_read(folder: Path):
    assert read(folder) == PAYLOAD
    assert read(folder, "b" * 32) is None


def test_nobody_else_can_open_the_folder_or_its_files(folder: Path):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_can_enter_is_refused(folder: Path, mode: int):
    folder.chmod(mode)
    assert refusal(folder) == not_private(folder)


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert refusal(folder) == not_private(folder)


def test_a_link_in_place_of_the_folder_is_refused(folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(folder)
    assert refusal(tmp_path / "link") == not_private(tmp_path / "link")


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path):
    (tmp_path / "store").write_text("a file")
    assert refusal(tmp_path / "store" / "folder") == (
        f"{tmp_path}/store/folder: cannot be created (File exists). Fix its permissions, or set `artifacts` in "
        "params/machine.toml to a folder that can be written."
    )


def test_a_folder_put_in_its_place_meanwhile_is_not_used(folder: Path, tmp_path: Path):
    with open_private(folder) as private:
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        private.write("b" * 32, PAYLOAD)
        assert private.read(NAME) == PAYLOAD
    assert not list(folder.iterdir())
    assert len(list((tmp_path / "moved").iterdir())) == 2


@pytest.mark.parametrize("length", [0, 10, 32, 500])
def test_a_truncated_file_is_refused(folder: Path, length: int):
    os.truncate(folder / NAME, length)
    with pytest.raises(StoreError, match=f"{NAME} is damaged, or was written under another name"):
        read(folder)


def test_a_file_with_a_changed_byte_is_refused(folder: Path):
    content = bytearray((folder / NAME).read_bytes())
    content[-1] ^= 1
    (folder / NAME).write_bytes(content)
    with pytest.raises(StoreError, match=f"{NAME} is damaged, or was written under another name"):
        read(folder)


def test_a_file_copied_to_another_name_is_refused(folder: Path):
    (folder / NAME).rename(folder / ("b" * 32))
    with pytest.raises(StoreError, match="is damaged, or was written under another name"):
        read(folder, "b" * 32)


def test_a_file_that_others_can_write_is_refused(folder: Path):
    (folder / NAME).chmod(0o666)
    with pytest.raises(StoreError, match=f"{NAME} is not a file that you own with mode 0600"):
        read(folder)


def test_a_link_in_place_of_a_file_is_not_followed(folder: Path, tmp_path: Path):
    (folder / NAME).rename(tmp_path / "elsewhere")
    (folder / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read(folder)


def test_a_file_whose_time_cannot_be_set_is_read_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert read(folder) == PAYLOAD


def test_the_least_recently_used_files_are_deleted_first(folder: Path):
    size = (folder / NAME).stat().st_size
    with open_private(folder) as private:
        private.write("b" * 32, PAYLOAD)
        os.utime(folder / NAME, (0, 0))  # written first, used last
        os.utime(folder / ("b" * 32), (1, 1))
        private.read(NAME)
        private.write("c" * 32, PAYLOAD)
        private.trim(2 * size)
    assert {path.name for path in folder.iterdir()} == {NAME, "c" * 32}


def test_a_file_that_cannot_be_finished_leaves_nothing(folder: Path):
    (folder / ("b" * 32)).mkdir()
    with open_private(folder) as private, pytest.raises(IsADirectoryError):
        private.write("b" * 32, PAYLOAD)
    assert {path.name for path in folder.iterdir()} == {NAME, "b" * 32}
