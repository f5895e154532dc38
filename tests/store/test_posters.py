"""Where pictures of finished videos lie."""

from pathlib import Path

from stages.keys import Digest
from stages.store.posters import PICTURES, STRIP, delete_empty_folders, has_pictures, list_posters, poster_folder

ONE, OTHER = Digest("1" * 32), Digest("2" * 32)


def paint(root: Path, digest: Digest) -> None:
    folder = poster_folder(root, digest)
    folder.mkdir(parents=True)
    for name in PICTURES:
        (folder / name).write_text("picture")


def test_pictures_are_there_if_every_file_is(tmp_path: Path):
    assert not has_pictures(tmp_path, ONE)
    paint(tmp_path, ONE)
    assert has_pictures(tmp_path, ONE)
    (poster_folder(tmp_path, ONE) / STRIP).unlink()
    assert not has_pictures(tmp_path, ONE)


def test_those_of_other_videos_are_listed(tmp_path: Path):
    paint(tmp_path, ONE)
    paint(tmp_path, OTHER)
    files = list_posters(tmp_path, but={ONE})
    assert {file.path.parent.name for file in files} == {OTHER}
    assert sum(file.size_bytes for file in files) == 21


def test_a_store_without_any_has_none(tmp_path: Path):
    assert list_posters(tmp_path, but=()) == []
    delete_empty_folders(tmp_path)


def test_only_empty_folders_go(tmp_path: Path):
    paint(tmp_path, ONE)
    poster_folder(tmp_path, OTHER).mkdir()
    delete_empty_folders(tmp_path)
    assert [path.name for path in (tmp_path / "posters").iterdir()] == [ONE]
