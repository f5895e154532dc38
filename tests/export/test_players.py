"""What is said about players."""

from fractions import Fraction

import pytest

from stages.export.codecs import CODECS
from stages.export.players import explain_limits
from stages.geometry import VideoSize

HD, UHD = VideoSize(49, 1080, 1920), VideoSize(49, 2160, 3840)
HEVC = (
    "HEVC plays where the device can decode it, as Apple's can; Chromium as Debian builds it refuses it. "
    'export.codec = "h264", "av1" and "vp9" play there.'
)


@pytest.mark.parametrize("codec", ["h264", "av1", "vp9"])
@pytest.mark.parametrize(("size", "fps"), [(HD, 240), (UHD, 60), (VideoSize(1, 16, 16), 240), (HD, "24000/1001")])
def test_of_what_plays_nothing_is_said(codec: str, size: VideoSize, fps: int | str):
    assert explain_limits(codec, size, Fraction(fps)) == []


def test_hevc_is_said_to_be_refused_by_a_browser_with_what_it_plays():
    assert explain_limits("hevc", HD, Fraction(24)) == [HEVC]


@pytest.mark.parametrize(
    ("codec", "size", "fps", "limit"),
    [
        ("h264", UHD, 120, "3840x2160 at 120 frames per second needs level 6 of h264, which few devices decode. Up to "
         "export.fps = 64, they do."),
        ("av1", UHD, "240000/1001", "3840x2160 at 239.76 frames per second needs level 6 of av1, which few devices "
         "decode. Up to export.fps = 128, they do."),
        ("vp9", VideoSize(1, 4096, 4096), 1, "4096x4096 at 1 frames per second needs level 6 of vp9, which few devices "
         "decode. Up to 3840x2160, they do."),
        ("h264", VideoSize(1, 4096, 4096), 240, "4096x4096 at 240 frames per second needs level 6 of h264, which few "
         "devices decode. Up to 3840x2160, they do."),
        ("h264", VideoSize(1, 240, 16384), 24, "16384x240 at 24 frames per second needs level 6 of h264, which few "
         "devices decode. Up to 3840x2160, they do."),
        ("av1", VideoSize(1, 16384, 16), 24, "16x16384 at 24 frames per second needs level 6 of av1, which few "
         "devices decode. Up to 3840x2160, they do."),
    ],
)  # fmt: skip
def test_what_is_too_large_or_too_fast_for_hardware_is_said_with_the_nearest_that_is_not(
    codec: str, size: VideoSize, fps: int | str, limit: str
):
    assert explain_limits(codec, size, Fraction(fps)) == [limit]


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_offered_is_not_said_to_be_too_much(codec: str):
    expected = [HEVC] if codec == "hevc" else []
    assert explain_limits(codec, UHD, Fraction(64 if codec == "h264" else 128)) == expected
