"""What `doit report` writes, and what it leaves alone."""

import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stages.errors import StageError
from stages.machine.file_lock import try_lock
from stages.report.site import STATIC, one_at_a_time
from stages.store.previews import ANIMATION, preview_folder
from tests.builders import files_below
from tests.report.reports import build_project, load, make, report


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build_project(tmp_path)
    for name in ("demo", "long"):
        make(load(tmp_path), name)
    return tmp_path


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_second_report_writes_nothing(root: Path):
    _, first = report(root)
    before = stamps(root / "artifacts/report")
    _, second = report(root)
    assert (first.num_kept, second.num_written, second.num_deleted) == (0, 0, 0)
    assert second.num_kept == first.num_written == len(before) - 1  # all but the lock
    assert stamps(root / "artifacts/report") == before


def test_after_one_video_changed_only_what_is_about_it_is_written(root: Path):
    report(root)
    before = stamps(root / "artifacts/report")
    make(load(root, export_crf="30"), "demo", payload=(root / "clip.mp4").read_bytes())
    report(root)
    after = stamps(root / "artifacts/report")
    changed = {name for name, stamp in after.items() if before.get(name) != stamp and not name.startswith("media/")}
    assert changed == {"index.html", "data.js", "videos/demo.html"}


def test_a_page_says_doit_only_of_a_video_that_the_project_has(root: Path):
    (root / "params/videos/long.toml").unlink()
    report(root)
    pages = [(root / f"artifacts/report/videos/{name}.html").read_text(encoding="utf-8") for name in ("demo", "long")]
    assert ["doit demo<" in pages[0], "doit long<" in pages[1]] == [True, False]
    assert "doit from long.mp4<" in pages[1]


def test_what_an_earlier_report_had_goes_with_its_video(root: Path):
    report(root)
    load(root).links.remove("long")
    _, written = report(root)
    assert written.num_deleted == 4  # its page, the video, the poster and the strip
    assert not (root / "artifacts/report/videos/long.html").exists()
    assert len([*(root / "artifacts/report/media").iterdir()]) == 3


def test_files_of_others_beside_the_pages_stay(root: Path):
    report(root)
    (root / "artifacts/report/robots.txt").write_text("of somebody")
    report(root)
    assert (root / "artifacts/report/robots.txt").read_text() == "of somebody"


def test_videos_are_copies_so_that_the_store_need_not_read_its_own_again(root: Path):
    shown, _ = report(root)
    video = shown.videos["demo"]
    copy = root / f"artifacts/report/media/{video.digest}.mp4"
    assert copy.read_bytes() == video.file.read_bytes()
    assert video.file.stat().st_nlink == 1
    assert all(load(root).verdict(node).is_fresh for node in load(root).graph.videos["demo"].values())


def test_a_preview_is_shown_on_its_page_and_copied_again_when_it_changed(root: Path):
    denoise = load(root).graph.videos["demo"]["denoise"]
    file = preview_folder(root / "artifacts", denoise.artifact) / ANIMATION
    file.parent.mkdir(parents=True)
    for content in (b"first", b"second"):
        file.write_bytes(content)
        report(root)
        assert (root / f"artifacts/report/media/preview-{denoise.key}.webp").read_bytes() == content
    page = (root / "artifacts/report/videos/demo.html").read_text(encoding="utf-8")
    assert f'src="../media/preview-{denoise.key}.webp"' in page


def test_a_copied_folder_says_nothing_of_where_it_was_made(root: Path):
    report(root)
    texts = [content for name, content in files_below(root / "artifacts/report").items() if not name.endswith(".mp4")]
    assert not [text for text in texts if os.fsencode(root) in text]


def test_the_same_store_gives_the_same_pages(root: Path, tmp_path_factory: pytest.TempPathFactory):
    report(root)
    first = files_below(root / "artifacts/report")
    (root / "artifacts/report").rename(tmp_path_factory.mktemp("away") / "report")
    report(root)
    assert files_below(root / "artifacts/report") == first


def test_of_a_project_in_which_nothing_is_made_there_is_a_wall_of_what_is_to_be(tmp_path: Path):
    build_project(tmp_path)
    shown, _ = report(tmp_path)
    text = (tmp_path / "artifacts/report/index.html").read_text(encoding="utf-8")
    assert text.count(">not made yet</span>") == len(shown.unmade) == 9
    assert not [*(tmp_path / "artifacts/report/videos").iterdir()]


def test_reports_of_one_store_are_written_one_after_the_other(tmp_path: Path):
    with one_at_a_time(tmp_path) as folder, (folder / ".lock").open() as other:
        assert try_lock(other.fileno()) is False
    with (folder / ".lock").open() as other:
        assert try_lock(other.fileno()) is True


def test_two_that_write_at_once_leave_a_whole_report(root: Path):
    (root / "artifacts/report").mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: report(root)[1], range(2))
    assert (
        sorted([first.num_written, second.num_written])[0] == 0
    )  # the second one finds all that the first has written
    assert report(root)[1].num_written == 0


def test_scripts_cannot_be_ended_by_what_they_hold(project: Path):
    text = (project / "artifacts/report/data.js").read_text(encoding="utf-8")
    assert "alert(1)" in text
    assert not re.search(r"[<\u2028\u2029]", text)


def test_a_painter_that_cannot_start_is_one_error(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(root / "broken"))
    (root / "broken/av").mkdir(parents=True)
    (root / "broken/av/__init__.py").write_text("raise SystemExit('no av')")
    with pytest.raises(StageError, match=r"^python -m stages\.report: ended with exit code 1: no av$"):
        report(root)


def test_where_files_of_others_can_be_neither_replaced_nor_deleted_the_rest_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in a sticky folder (mode 1777), which binds everybody but root."""
    report(root)
    folder = root / "artifacts/report"
    (folder / "static/notes.js").write_text("of an earlier release")
    (folder / "videos/gone.html").write_text("of a video that is gone")
    os.utime(next((folder / "media").glob("*.mp4")), ns=(0, 0))
    replace, unlink = Path.replace, Path.unlink

    def refuse_to_replace(self: Path, target: Path) -> Path:
        if target.exists():
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return replace(self, target)

    def refuse_to_unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == "gone.html":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "replace", refuse_to_replace)
    monkeypatch.setattr(Path, "unlink", refuse_to_unlink)
    before = set(files_below(folder))
    _, written = report(root)
    assert (written.num_written, written.num_deleted) == (1, 0)
    assert (folder / "static/notes.js").read_bytes() == (STATIC / "notes.js").read_bytes()
    assert set(files_below(folder)) == before
