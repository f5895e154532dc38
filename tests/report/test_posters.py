"""Which videos are painted."""

import sys
from pathlib import Path

import pytest

from stages.keys import Digest
from stages.report.posters import paint_posters, read_facts
from stages.report.shown import VideoFacts
from stages.store.posters import FACTS, PICTURES, STRIP, poster_folder
from tests.report.reports import FPS, write_clip

ONE, OTHER = Digest("1" * 32), Digest("2" * 32)

pytestmark = pytest.mark.processes


def test_what_a_store_has_is_not_painted_again(tmp_path: Path):
    write_clip(tmp_path / "video.mp4", green=0)
    assert paint_posters(tmp_path, {ONE: tmp_path / "video.mp4"}) == {}
    before = (poster_folder(tmp_path, ONE) / FACTS).stat().st_ino
    assert paint_posters(tmp_path, {ONE: tmp_path / "video.mp4"}) == {}
    assert (poster_folder(tmp_path, ONE) / FACTS).stat().st_ino == before


def test_a_picture_that_somebody_has_deleted_is_painted_again(tmp_path: Path):
    write_clip(tmp_path / "video.mp4", green=0)
    paint_posters(tmp_path, {ONE: tmp_path / "video.mp4"})
    (poster_folder(tmp_path, ONE) / STRIP).unlink()
    assert read_facts(tmp_path, ONE) is None
    paint_posters(tmp_path, {ONE: tmp_path / "video.mp4"})
    assert read_facts(tmp_path, ONE) == VideoFacts(24, FPS, 96, 64, "h264", (0, 3, 7, 10, 13, 16, 20, 23))


@pytest.mark.parametrize("text", ["{}", "[]", '{"num_frames": 0}', "no JSON"])
def test_facts_that_somebody_has_edited_are_none(tmp_path: Path, text: str):
    folder = poster_folder(tmp_path, ONE)
    folder.mkdir(parents=True)
    for name in PICTURES:
        (folder / name).write_text(text)
    assert read_facts(tmp_path, ONE) is None


def test_a_video_that_cannot_be_painted_is_named_and_the_others_are_painted(tmp_path: Path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    write_clip(tmp_path / "video.mp4", green=0)
    faults = paint_posters(tmp_path, {ONE: tmp_path / "bad.mp4", OTHER: tmp_path / "video.mp4"})
    assert [*faults] == [ONE]
    assert (poster_folder(tmp_path, OTHER) / FACTS).is_file()


def test_a_video_that_ends_its_process_takes_no_other_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a fault in FFmpeg would; here by a painter that stands in front of the real one."""
    program = (
        "import json, os, signal, sys\n"
        "for line in sys.stdin:\n"
        "    video, folder = json.loads(line)\n"
        "    if 'bad' in video:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    print(json.dumps(''), flush=True)\n"
    )
    monkeypatch.setattr("stages.report.posters._COMMAND", (sys.executable, "-c", program))
    faults = paint_posters(tmp_path, {ONE: tmp_path / "bad.mp4", OTHER: tmp_path / "video.mp4"})
    assert faults == {ONE: "FFmpeg ended with signal 11"}
