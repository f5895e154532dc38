"""Metrics of frames as pictures: a line of block characters for a terminal, and an SVG file."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from stages.diff.frame_difference import Metric

BLOCKS: Final = "▁▂▃▄▅▆▇█"
_WIDTH, _PANEL_HEIGHT = 720, 140  # of the drawing, and of one metric's part of it, in the units of SVG
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 28, 20  # around the lines of a part
_COLORS: Final = "#1f6feb", "#8b949e"  # on white and on black: the difference, and its floor


def draw_bars(values: Sequence[float], num_columns: int) -> str:
    """A bar per frame, the lowest for the worst; of more frames than columns, each bar is the worst of some.

    Args:
        values: of each frame; an infinite one is as high as the best.
        num_columns: how many bars there may be, at least 1.
    """
    size = math.ceil(len(values) / num_columns)
    worst = [min(values[place : place + size]) for place in range(0, len(values), size)]
    low, high = _bounds(worst)
    top = len(BLOCKS) - 1
    return "".join(BLOCKS[round(top * (min(value, high) - low) / (high - low))] for value in worst)


def draw_svg(title: str, metrics: Sequence[Metric], floors: Sequence[Metric] = ()) -> str:
    """An SVG file with a part for each metric: its value at each frame, and dashed that of the floor.

    Args:
        title: of the drawing.
        metrics: what is drawn.
        floors: the same metrics of the floor, as far as there is one.
    """
    height = _TOP + _PANEL_HEIGHT * len(metrics)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    by_name = {metric.name: metric for metric in floors}
    for place, metric in enumerate(metrics):
        lines += _draw_panel(metric, by_name.get(metric.name), _TOP + place * _PANEL_HEIGHT)
    return "\n".join([*lines, "</svg>", ""])


def _draw_panel(metric: Metric, floor: Metric | None, top: int) -> Iterator[str]:
    """One metric, below `top`."""
    drawn = [metric, *([floor] if floor else [])]
    low, high = _bounds([value for each in drawn for value in each.values])
    unit = "" if metric.name == "ssim" else " dB"
    upper, lower = top + _TOP, top + _PANEL_HEIGHT - _BOTTOM
    yield f'<text x="{_LEFT}" y="{top + 18}">{metric.name.upper()}{unit} by frame</text>'
    for value, y in ((high, upper), (low, lower)):
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#d0d7de"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{value:.4g}</text>'
    last = len(metric.values) - 1
    yield f'<text x="{_LEFT}" y="{lower + 15}">0</text>'
    yield f'<text x="{_WIDTH - _RIGHT}" y="{lower + 15}" text-anchor="end">{last}</text>'
    for each, color, dash in zip(drawn, _COLORS, ("", ' stroke-dasharray="5 4"'), strict=False):
        step = (_WIDTH - _LEFT - _RIGHT) / max(len(each.values) - 1, 1)
        points = " ".join(
            f"{_LEFT + frame * step:.1f},{lower - (lower - upper) * (min(value, high) - low) / (high - low):.1f}"
            for frame, value in enumerate(each.values)
        )
        yield f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"{dash}/>'


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest finite value; never the same."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 1.0, high)
