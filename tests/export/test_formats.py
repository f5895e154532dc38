"""What is written as tag, profile, level and pixel format: the tables of docs/video-files.md, measured again."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stages.export.codecs import CODECS
from stages.export.players import explain_limits
from stages.export.video import write_video
from stages.geometry import VideoSize
from tests.mp4 import Format, read_format
from tests.project import PROJECT

pytestmark = pytest.mark.processes

PAGE = (PROJECT / "docs/video-files.md").read_text(encoding="utf-8")
ROWS = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
PROFILES = {row[0]: row[1:] for row in ROWS if row[0] in CODECS}
LEVELS = [row for row in ROWS if row[0][0].isdigit() and len(row) == 2 + len(CODECS)]
CRF = {"h264": (1, 51), "hevc": (0, 51), "av1": (0, 63), "vp9": (0, 63)}


def write(path: Path, codec: str, size: VideoSize, *, fps: str = "24", crf: int = 18) -> Format:
    """The format of a video of noise if it is small, of one colour otherwise."""
    is_small = size.height * size.width < 100_000
    rng = np.random.default_rng(0)
    shape = (size.height, size.width, 3)
    plain = np.broadcast_to(np.float32(0), shape)
    frames = (rng.uniform(-1, 1, shape) if is_small else plain for _ in range(size.num_frames))
    write_video(frames, path, size=size, fps=Fraction(fps), codec=codec, crf=crf, metadata="", progress=lambda *_: None)
    return read_format(path)


def test_the_page_has_all_codecs_and_many_levels():
    assert [*PROFILES] == [*CODECS]
    assert len(LEVELS) >= 15


@pytest.mark.parametrize("codec", CODECS)
def test_the_page_says_by_what_name_browsers_know_each_codec(tmp_path: Path, codec: str):
    assert write(tmp_path / "v.mp4", codec, VideoSize(1, 720, 1280)).codecs == PROFILES[codec][3]


SIZES = [(16, 16), (16, 128), (128, 16), (97, 95), (96, 96), (112, 144)]


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5])
@pytest.mark.parametrize("codec", CODECS)
def test_tag_profile_and_pixels_are_those_of_the_page_whatever_the_size_the_length_and_the_crf(
    tmp_path: Path, codec: str, num_frames: int
):
    found = set()
    for height, width in SIZES:
        for crf in (CRF[codec][0], 18, CRF[codec][1]):
            path = tmp_path / "v.mp4"
            written = write(path, codec, VideoSize(num_frames, height, width), crf=crf)
            with av.open(str(path)) as container:
                context = container.streams.video[0].codec_context
                found.add((written.tag, written.profile, context.pix_fmt, context.profile))
    assert found == {(*PROFILES[codec][:3], PROFILES[codec][1])}


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: f"{row[0]} {row[1]}")
def test_levels_are_those_of_the_page(tmp_path: Path, row: list[str]):
    width, height = map(int, row[0].split("x"))
    size = VideoSize(1, height, width)
    # FFmpeg makes VP9's of the size, when it writes the container: one rate of each large size is enough
    written = [codec for codec in CODECS if codec != "vp9" or height <= 720 or row[1] == "24"]
    found = {codec: write(tmp_path / "v.mp4", codec, size, fps=row[1], crf=CRF[codec][1]).level for codec in written}
    assert found == {codec: level for codec, level in zip(CODECS, row[2:], strict=True) if codec in written}


def test_the_page_has_one_level_of_vp9_for_each_size():
    assert len({(row[0], row[-1]) for row in LEVELS}) == len({row[0] for row in LEVELS})


@pytest.mark.parametrize("row", LEVELS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_warning_is_given_for_what_the_page_has_at_level_6(row: list[str]):
    width, height = map(int, row[0].split("x"))
    by_codec = dict(zip(CODECS, row[2:], strict=True))
    levels = by_codec | {"vp9": by_codec["av1"]}  # its limits are about AV1's; its level in a file ignores the rate
    for codec, level in levels.items():
        said = [
            line for line in explain_limits(codec, VideoSize(1, height, width), Fraction(row[1])) if "level" in line
        ]
        assert bool(said) == (level >= "6"), codec
