"""Metrics as bars and as a drawing."""

import math
from xml.etree import ElementTree

import pytest

from stages.diff.frame_difference import Metric
from stages.diff.plot import draw_bars, draw_svg

SVG = "{http://www.w3.org/2000/svg}"


def test_the_worst_has_the_lowest_bar():
    assert draw_bars([10, 20, 80], 10) == "▁▂█"


def test_equal_frames_are_as_high_as_the_best():
    assert draw_bars([math.inf, 20, 30], 10) == "█▁█"


def test_one_value_alone_is_full():
    assert draw_bars([20, 20], 10) == "██"
    assert draw_bars([math.inf], 10) == "█"


@pytest.mark.parametrize("number", [1, 47, 48, 49, 96, 97, 1000])
def test_there_are_no_more_bars_than_columns(number: int):
    assert 1 <= len(draw_bars([*range(number)], 48)) <= 48


def test_a_bar_of_several_frames_is_the_worst_of_them():
    assert draw_bars([9, 1, 9, 9, 9, 9], 3) == "▁██"


def draw(title: str, metric: Metric, *floors: Metric) -> ElementTree.Element:
    return ElementTree.fromstring(draw_svg(title, [metric], floors))  # noqa: S314 (made here)


def test_a_drawing_has_a_point_for_each_frame():
    (line,) = draw("one", Metric("psnr", [20.0, math.inf, 30.0])).iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert [x for x, _ in points] == [64, 384, 704]
    assert points[0][1] > points[1][1] == points[2][1]  # up is better, and equal frames are at the top


def test_the_floor_is_dashed_and_on_the_same_scale():
    line, floor = draw("one", Metric("ssim", [0.5, 0.6]), Metric("ssim", [0.9, 1.0])).iter(f"{SVG}polyline")
    assert "stroke-dasharray" in floor.attrib
    assert "stroke-dasharray" not in line.attrib
    heights = [float(point.split(",")[1]) for each in (line, floor) for point in each.attrib["points"].split()]
    assert heights == sorted(heights, reverse=True)


def test_any_name_is_text():
    assert draw('<script>"&', Metric("psnr", [1.0])).findtext(f"{SVG}title") == '<script>"&'
