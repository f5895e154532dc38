"""A comparison in words, for 80 columns: a paragraph per stage."""

import math
from collections.abc import Iterator, Mapping, Sequence

from stages.diff.comparison import ONLY, OTHER_KEY, VERSION, StageDifference
from stages.diff.floor import Floor
from stages.diff.frame_difference import FrameDifference, Metric
from stages.diff.plot import draw_bars
from stages.explain.wording import say_reason, wrap
from stages.machine.printable import escaped
from stages.run.measuring import describe_difference
from stages.store.verdict import Reason

_INDENT = " " * 9
_NUM_BARS = 48
_MIN_FRAMES = 2  # of which a plot says something
_PICTURES = "frames"  # what stages/export/difference.py calls the pictures of two videos


def describe(found: Sequence[StageDifference], floor: Floor | None = None, *, shows_bars: bool = True) -> Iterator[str]:
    """The lines; `floor` is put beside what was measured, `shows_bars` whether stdout takes block characters."""
    if is_same := all(not each.reasons and each.outcome == "equal" for each in found):
        yield "the same: parameters, components and bytes of all stages"
    for each in () if is_same else found:
        floors = None if floor is None else floor.of_stage(each.stage)
        lines = describe_stage(each, floors, shows_bars=shows_bars)
        first, *others = [part for line in lines for part in wrap(line, _INDENT)]
        yield f"{each.stage:<{len(_INDENT)}}{first.removeprefix(_INDENT)}"
        yield from others
    if floor is not None:
        yield ""
        for line in floor.describe():
            yield from wrap(escaped(line))
        if floor.command:
            yield f"  {floor.command}"  # on one line, to be copied


def describe_stage(each: StageDifference, floor: StageDifference | None = None, *, shows_bars: bool) -> Iterator[str]:
    """The lines of one stage, without its name."""
    for reason in each.reasons:
        yield from _say(reason, each.stage)
    yield from _describe_result(each, floor, shows_bars=shows_bars)


def _say(reason: Reason, stage: str) -> Iterator[str]:
    """One reason. What others may have written is shown without orders to a terminal."""
    if reason.field == ONLY:
        yield f"only the {'second' if reason.before is None else 'first'} has this stage"
    elif reason.field == OTHER_KEY:
        yield "the code of that revision gives it another key"
    elif reason.field.startswith(VERSION):
        before, now = (escaped(str(each or "none")) for each in (reason.before, reason.now))
        yield f"made with {escaped(reason.field.removeprefix(VERSION))} {before} -> {now}"
    else:
        yield say_reason(reason, stage)


def _describe_result(each: StageDifference, floor: StageDifference | None, *, shows_bars: bool) -> Iterator[str]:
    if each.outcome == "equal":
        yield "equal to the bit"
    elif each.frames is not None:
        yield from _describe_frames(each.frames, floor.frames if floor else None, shows_bars=shows_bars)
    elif each.values:
        yield from _describe_values(each.values, floor.values if floor else {})
    elif any(reason.field in (ONLY, OTHER_KEY) for reason in each.reasons) and not each.note:
        return
    else:
        head = "other bytes" if each.outcome == "other" else "not compared"
        yield f"{head}; {escaped(each.note)}" if each.note else head


def _describe_values(
    values: Mapping[str, Mapping[str, int | float] | str], floors: Mapping[str, Mapping[str, int | float] | str]
) -> Iterator[str]:
    unequal = {name: each for name, each in values.items() if isinstance(each, str) or each["num_unequal"]}
    if not unequal:
        yield "other bytes; equal values"
    for name, each in unequal.items():
        shown = "pictures" if name == _PICTURES else escaped(name)
        if isinstance(each, str):
            yield f"{shown}: {escaped(each)}"
            continue
        floor = floors.get(name)
        beside = "" if floor is None or isinstance(floor, str) else f" (floor: {_say_floor(floor)})"
        yield f"{shown}: {describe_difference(each)}{beside}"


def _say_floor(floor: Mapping[str, int | float]) -> str:
    if not floor["num_unequal"]:
        return "equal"
    psnr_db = floor["psnr_db"]
    return f"{floor['max_abs']:.3g}{f', {psnr_db:.1f} dB' if math.isfinite(psnr_db) else ''}"


def _describe_frames(found: FrameDifference, floor: FrameDifference | None, *, shows_bars: bool) -> Iterator[str]:
    if not found.is_measured:
        one, other = (_size(*size) for size in found.sizes)
        yield f"frames: {one} and {other}: not compared"
        return
    num_frames = found.sizes[0][0]
    if found.first is None:
        yield "other bytes; equal values"
        return
    floors = {metric.name: metric for metric in floor.metrics} if floor else {}
    beside = f" (floor: {floor.max_abs:.3g})" if floor and floor.is_measured else ""
    yield f"frame {found.first} of {num_frames} is the first that differs; by {found.max_abs:.3g} at most{beside}"
    for metric in found.metrics:
        yield _describe_metric(metric, floors.get(metric.name))
        finite = [value for value in metric.values if math.isfinite(value)]
        if shows_bars and num_frames >= _MIN_FRAMES and finite:
            bars = draw_bars(metric.values, _NUM_BARS)
            yield f"{_number(metric, min(finite))} {bars} {_number(metric, max(finite))}"
    if not any(metric.name == "xpsnr" for metric in found.metrics):
        yield "XPSNR: not measured, frames are too small for it"


def _describe_metric(metric: Metric, floor: Metric | None) -> str:
    worst, frame = metric.worst
    unit = "" if metric.name == "ssim" else " dB"
    mean = f"{metric.name.upper()}: mean {_number(metric, metric.mean)}{unit}"
    text = f"{mean}, worst {_number(metric, worst)}{unit} at frame {frame}"
    if floor is None:
        return text
    return f"{text} (floor: {_number(floor, floor.mean)}, {_number(floor, floor.worst[0])})"


def _number(metric: Metric, value: float) -> str:
    if not math.isfinite(value):
        return "infinite"
    return f"{value:.4f}" if metric.name == "ssim" else f"{value:.1f}"


def _size(num_frames: int, height: int, width: int) -> str:
    return f"{num_frames} of {width}x{height}"
