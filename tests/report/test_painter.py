"""Pictures of a finished video."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stages.export.video import write_video
from stages.geometry import VideoSize
from stages.report.painter import Facts, encode_picture, paint
from tests.report.reports import SIZE, write_clip


def read(picture: bytes) -> np.ndarray:
    with av.open(io.BytesIO(picture)) as container:
        (frame,) = container.decode(video=0)
        return frame.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "video.mp4"
    write_clip(path, green=0)
    return path


def test_the_poster_is_the_first_frame_as_large_as_it_is(clip: Path):
    poster, _, _ = paint(clip)
    assert read(poster).shape == (SIZE.height, SIZE.width, 3)
    assert read(poster)[..., 0].max() < 8


def test_a_strip_shows_frames_of_all_of_it_the_first_and_the_last_among_them(clip: Path):
    _, strip, facts = paint(clip)
    assert facts == Facts(24, "12", 96, 64, "h264", (0, 3, 7, 10, 13, 16, 20, 23))
    reds = read(strip)[32, 48::96, 0].astype(int)
    assert np.abs(reds - 10 * np.array(facts.shown)).max() <= 8


def test_a_large_video_has_a_small_poster(tmp_path: Path):
    frames = [np.zeros((720, 1280, 3), np.float32)]
    write_video(
        frames, tmp_path / "video.mp4", size=VideoSize(1, 720, 1280), fps=Fraction(24000, 1001), codec="h264", crf=30,
        metadata="", progress=lambda _done, _all: None,
    )  # fmt: skip
    poster, strip, facts = paint(tmp_path / "video.mp4")
    assert read(poster).shape == (360, 640, 3)
    assert read(strip).shape == (112, 200, 3)
    assert (facts.num_frames, facts.fps, facts.shown) == (1, "24000/1001", (0,))


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\x18ftypisom"], ids=["empty", "text", "cut"])
def test_what_is_no_video_is_an_error_that_the_process_answers_with(tmp_path: Path, content: bytes):
    (tmp_path / "video.mp4").write_bytes(content)
    with pytest.raises((ValueError, OSError)):
        paint(tmp_path / "video.mp4")


def test_a_picture_keeps_its_colours():
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 1] = 200
    assert np.abs(read(encode_picture(picture)).astype(int) - picture).max() <= 6
