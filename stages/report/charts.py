"""Bars that say how long the stages of a video took and how much memory they had, as numbers for a template."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.report.shown import Step
from stages.store.quantities import show_bytes, show_seconds

_PHASES = (("start", "start_s"), ("load", "load_s"), ("compile", "compile_s"), ("compute", "rest_s"))


@dataclass(frozen=True)
class Part:
    """A part of a bar: what it stands for, where it begins and how wide it is in percent of the chart."""

    name: str
    text: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One stage's bar; no parts where nothing is known."""

    stage: str
    text: str
    parts: tuple[Part, ...]


def draw_times(steps: Sequence[Step]) -> list[Bar]:
    """One bar for each stage, of the phases of its run; the longest run is as wide as the chart."""
    longest_s = max((step.run.total_s for step in steps if step.run is not None), default=0.0)
    return [_time_bar(step, longest_s) for step in steps]


def draw_memory(steps: Sequence[Step]) -> list[Bar]:
    """One bar for each stage, of the most memory that its process had."""
    most = max((_peak(step) or 0 for step in steps), default=0)
    bars = []
    for step in steps:
        peak = _peak(step)
        text = "not known" if peak is None else show_bytes(peak)
        parts = (Part("memory", text, 0.0, 100 * peak / most),) if peak else ()
        bars.append(Bar(step.artifact.stage, text, parts))
    return bars


def _peak(step: Step) -> int | None:
    return None if step.run is None else step.run.peak_memory_bytes


def _time_bar(step: Step, longest_s: float) -> Bar:
    run = step.run
    if run is None or not longest_s:
        return Bar(step.artifact.stage, "not known", ())
    parts, start = [], 0.0
    for name, field in _PHASES:
        seconds = getattr(run, field)
        width = 100 * seconds / longest_s
        if seconds:
            parts.append(Part(name, show_seconds(seconds), round(start, 2), round(width, 2)))
        start += width
    return Bar(step.artifact.stage, show_seconds(run.total_s), tuple(parts))
