"""What the report says of a video."""

from fractions import Fraction

from stages.report.shown import VideoFacts


def test_a_video_lasts_as_long_as_its_frames():
    assert VideoFacts(30, Fraction(30000, 1001), 96, 64, (0,)).duration_s == 1.001
