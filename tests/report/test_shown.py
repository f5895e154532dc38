"""What the report says of a video."""

from fractions import Fraction

from stages.report.shown import VideoFacts, sort_key


def test_a_video_lasts_as_long_as_its_frames():
    assert VideoFacts(30, Fraction(30000, 1001), 96, 64, "h264", (0,)).duration_s == 1.001


def test_names_are_in_the_order_of_their_numbers_and_drafts_follow_their_finals():
    names = ["later", "harbour-10", "harbour-2.draft", "harbour-2"]
    assert sorted(names, key=sort_key) == names[::-1]
