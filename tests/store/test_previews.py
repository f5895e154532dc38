"""Where previews lie in a store, and what is deleted of them."""

from pathlib import Path

from stages.keys import ArtifactId, Key
from stages.store.previews import (
    ANIMATION,
    STRIP,
    link_previews,
    list_previews,
    map_file,
    preview_folder,
    preview_link,
    unlink_lost_previews,
)

FIRST, SECOND = (ArtifactId("denoise", Key(digit * 32)) for digit in "12")


def write(root: Path, artifact: ArtifactId) -> Path:
    folder = preview_folder(root, artifact)
    folder.mkdir(parents=True)
    for name in (ANIMATION, STRIP):
        (folder / name).write_text(artifact.key)
    return folder


def test_a_link_leads_to_the_newest_choice_of_a_video(tmp_path: Path):
    for artifact in (FIRST, SECOND):
        write(tmp_path, artifact)
        link_previews(tmp_path, ["demo", "other"], artifact)
        assert preview_link(tmp_path, "demo").read_text() == artifact.key
    assert (tmp_path / "previews/other-strip.webp").read_text() == SECOND.key


def test_links_stay_right_when_the_store_is_moved(tmp_path: Path):
    write(tmp_path / "store", FIRST)
    link_previews(tmp_path / "store", ["demo"], FIRST)
    (tmp_path / "store").rename(tmp_path / "moved")
    assert preview_link(tmp_path / "moved", "demo").read_text() == FIRST.key


def test_somebodys_own_file_is_not_replaced(tmp_path: Path):
    write(tmp_path, FIRST)
    preview_link(tmp_path, "demo").write_text("mine")
    elsewhere = preview_link(tmp_path, "other")
    elsewhere.symlink_to("/dev/null")
    link_previews(tmp_path, ["demo", "other"], FIRST)
    assert preview_link(tmp_path, "demo").read_text() == "mine"
    assert str(elsewhere.readlink()) == "/dev/null"


def test_previews_of_nodes_that_are_kept_are_not_listed(tmp_path: Path):
    write(tmp_path, FIRST)
    folder = write(tmp_path, SECOND)
    assert [file.path for file in list_previews(tmp_path, but={FIRST})] == [folder / ANIMATION, folder / STRIP]


def test_maps_and_files_of_others_are_no_previews(tmp_path: Path):
    for path in (map_file(tmp_path, "a" * 32), tmp_path / "previews/notes/a.txt", tmp_path / "previews/note.webp"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert list_previews(tmp_path, but=()) == []
    assert list_previews(tmp_path / "nowhere", but=()) == []


def test_links_and_folders_without_a_preview_go(tmp_path: Path):
    kept, lost = write(tmp_path, FIRST), write(tmp_path, SECOND)
    link_previews(tmp_path, ["kept"], FIRST)
    link_previews(tmp_path, ["lost"], SECOND)
    preview_link(tmp_path, "elsewhere").symlink_to("nowhere")
    for file in list_previews(tmp_path, but={FIRST}):
        file.path.unlink()
    unlink_lost_previews(tmp_path)
    assert (kept.exists(), lost.exists()) == (True, False)
    names = {path.name for path in (tmp_path / "previews").iterdir()}
    assert names == {"denoise", "kept.webp", "kept-strip.webp", "elsewhere.webp"}
