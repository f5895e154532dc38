"""How far the frames of two videos are from each other, frame by frame, and what that comes to for all of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stages.run.measuring import run_measurement

_MODULE: Final = "stages.diff.frames"


def _mean_db(values: Sequence[float], divisor: float) -> float:
    """The mean of distances that are given in dB: infinite only where all are."""
    mean = sum(10 ** (-value / divisor) for value in values) / len(values)
    return -divisor * math.log10(mean) if mean else math.inf


# As their authors take them over a video: of the mean squared error, of similarities, of the root of weighted errors.
_MEANS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = MappingProxyType({
    "psnr": lambda values: _mean_db(values, 10.0),
    "ssim": lambda values: sum(values) / len(values),
    "xpsnr": lambda values: _mean_db(values, 20.0),
})  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """One metric of all frames.

    Attributes:
        name: "psnr" or "xpsnr", in dB, or "ssim", up to 1.
        values: of each frame; infinite where frames are equal.
    """

    name: str
    values: Sequence[float]

    @property
    def mean(self) -> float:
        """Over all frames: of PSNR from the mean squared error, so that equal frames do not make it infinite."""
        return _MEANS[self.name](self.values)

    @property
    def worst(self) -> tuple[float, int]:
        """The lowest, and the first frame that has it."""
        return min((value, frame) for frame, value in enumerate(self.values))

    def to_json(self) -> Mapping[str, Any]:
        """The same as JSON; null is infinite."""
        value, frame = self.worst
        return {
            "mean": finite(self.mean),
            "worst": finite(value),
            "worst_frame": frame,
            "frames": [finite(each) for each in self.values],
        }


@dataclass(frozen=True)
class FrameDifference:
    """What was found of two videos' frames.

    Attributes:
        sizes: of each, [frames, height, width]; nothing else is known where they differ.
        first: the first frame that differs, from 0; None where none does.
        max_abs: the largest difference of a value, on the scale from -1 to 1.
        metrics: those that frames are large enough for.
    """

    sizes: tuple[tuple[int, int, int], tuple[int, int, int]]
    first: int | None = None
    max_abs: float = 0.0
    metrics: Sequence[Metric] = ()

    @property
    def is_measured(self) -> bool:
        """Whether the two are of one size."""
        return self.sizes[0] == self.sizes[1]

    def to_json(self) -> Mapping[str, Any]:
        """The same as JSON."""
        names = ("num_frames", "height", "width")
        found: dict[str, Any] = {"sizes": [dict(zip(names, size, strict=True)) for size in self.sizes]}
        if self.is_measured:
            found |= {"first_differing_frame": self.first, "max_abs": finite(self.max_abs)}
            found |= {metric.name: metric.to_json() for metric in self.metrics}
        return found


def measure_frame_files(files: tuple[Path, Path], root: Path) -> tuple[FrameDifference | None, str]:
    """Measure the frames of two files; and why that cannot be, in words, "" otherwise. `root` is the project's."""
    printed, fault = run_measurement(_MODULE, files, root)
    if fault:
        return None, fault
    one, other = (tuple(size) for size in printed["sizes"])
    if one != other:
        return FrameDifference((one, other)), ""
    metrics = [Metric(name, printed[name]) for name in _MEANS if printed[name] is not None]
    return FrameDifference((one, other), printed["first"], max(printed["max_abs"]), metrics), ""


def finite(value: float) -> float | None:
    """A number as JSON has it; None, which is null there, of an infinite one."""
    return value if math.isfinite(value) else None
