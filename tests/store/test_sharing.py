"""Who may write in a store of several users."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.store.sharing import lock_mode, make_folder, share


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """That of most users: nobody else may write."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("root", "folder", "file"), [(0o755, 0o755, 0o644), (0o775, 0o775, 0o664)])
def test_who_may_write_in_the_store_may_write_in_all_that_is_made_in_it(
    tmp_path: Path, root: int, folder: int, file: int
):
    tmp_path.chmod(root)
    make_folder(tmp_path / "encode", tmp_path)
    (tmp_path / "encode/file").touch()
    share(tmp_path / "encode/file", tmp_path)
    assert (mode_of(tmp_path / "encode"), mode_of(tmp_path / "encode/file")) == (folder, file)


def test_in_a_sticky_store_folders_are_sticky_too(tmp_path: Path):
    tmp_path.chmod(0o1777)
    make_folder(tmp_path / "encode", tmp_path)
    assert mode_of(tmp_path / "encode") == 0o1777


def test_a_lock_file_can_be_locked_by_who_may_write_in_the_store(tmp_path: Path):
    assert lock_mode(tmp_path) is None
    tmp_path.chmod(0o1777)
    assert lock_mode(tmp_path) == 0o666


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "encode").mkdir(0o700)
    tmp_path.chmod(0o777)
    make_folder(tmp_path / "encode", tmp_path)
    assert mode_of(tmp_path / "encode") == 0o700


def test_each_folder_that_is_made_is_shared(tmp_path: Path):
    tmp_path.chmod(0o777)
    make_folder(tmp_path / "partial/denoise/key", tmp_path)
    made = ("partial", "partial/denoise", "partial/denoise/key")
    assert [mode_of(tmp_path / name) for name in made] == [0o777] * 3


def test_who_sees_a_folder_may_write_in_it_from_the_first_moment_on(tmp_path: Path):
    """Another user's process looks at the folder while it is made."""
    tmp_path.chmod(0o1777)
    folders = [tmp_path / str(number) for number in range(300)]
    seen: list[int] = []

    def look() -> None:
        for folder in folders:
            while not os.path.lexists(folder):
                pass
            seen.append(mode_of(folder))

    looking = threading.Thread(target=look)
    looking.start()
    for folder in folders:
        make_folder(folder, tmp_path)
    looking.join()
    assert seen == [0o1777] * len(folders)


def test_a_folder_that_another_process_makes_meanwhile_is_taken_and_nothing_is_left(tmp_path: Path, monkeypatch):
    tmp_path.chmod(0o777)
    rename = Path.rename

    def be_late(new: Path, folder: Path) -> Path:
        folder.mkdir()
        (folder / "file").touch()
        return rename(new, folder)

    monkeypatch.setattr(Path, "rename", be_late)
    make_folder(tmp_path / "encode", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["encode", "encode/file"]


def test_a_store_that_is_made_with_its_first_folder_has_what_the_umask_leaves(tmp_path: Path):
    make_folder(tmp_path / "a/artifacts/encode", tmp_path / "a/artifacts")
    assert [mode_of(tmp_path / name) for name in ("a", "a/artifacts", "a/artifacts/encode")] == [0o755] * 3
