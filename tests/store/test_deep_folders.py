"""Deleting a folder, however deep it is."""

from pathlib import Path

import pytest

from stages.store.deep_folders import delete_folder
from tests.builders import acting_as_nobody
from tests.trees import make_deep


def test_a_folder_deeper_than_any_path_goes(tmp_path: Path):
    make_deep(tmp_path / "folder", 2000)
    delete_folder(tmp_path / "folder")
    assert [*tmp_path.iterdir()] == []


def test_of_a_link_only_the_link_goes(tmp_path: Path):
    for name in ("elsewhere", "folder/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere/file").touch()
    (tmp_path / "folder/below/link").symlink_to(tmp_path / "elsewhere")
    delete_folder(tmp_path / "folder")
    assert [path.name for path in tmp_path.rglob("*")] == ["elsewhere", "file"]
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        delete_folder(tmp_path / "link")
    assert (tmp_path / "elsewhere/file").exists()


def test_what_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        delete_folder(tmp_path / "folder")


def test_what_cannot_be_deleted_stays_alone_and_is_the_error(tmp_path: Path):
    for name in ("a", "closed", "z"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        (tmp_path / "folder" / name / "file").touch()
    for folder in (tmp_path / "folder", *(tmp_path / "folder").iterdir()):
        folder.chmod(0o555 if folder.name == "closed" else 0o777)
    with acting_as_nobody(tmp_path / "folder"), pytest.raises(PermissionError) as refused:
        delete_folder(tmp_path / "folder")
    (tmp_path / "folder/closed").chmod(0o755)
    assert refused.value.filename == "file"
    assert sorted(path.name for path in (tmp_path / "folder").rglob("*")) == ["closed", "file"]
