"""PSNR, SSIM and XPSNR of pairs of pictures, by the filters of FFmpeg that have these names.

The pictures are frames as the store has them, in [-1, 1]; the filters take whole numbers, here of 12 bits: a step is
then smaller than one of bfloat16 in the bright and in the dark, where it is largest.
"""

from collections.abc import Iterator
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import av
import numpy as np
from jaxtyping import Float, Float32, UInt16

_BITS: Final = 12
_MAX_LEVEL: Final = (1 << _BITS) - 1
_RGB, _LUMA = f"gbrp{_BITS}le", f"gray{_BITS}le"  # FFmpeg's names: planes green, blue, red; and one plane
_PLANES_OF_RGB: Final = (1, 2, 0)
_LUMA_WEIGHTS: Final = (0.2126, 0.7152, 0.0722)  # of red, green and blue: ITU-R BT.709
_FORMATS: Final = MappingProxyType({"psnr": _RGB, "ssim": _LUMA, "xpsnr": _LUMA})
_RESULTS: Final = MappingProxyType({
    "psnr": "lavfi.psnr.psnr_avg",  # of all three colours
    "ssim": "lavfi.ssim.All",
    "xpsnr": "lavfi.xpsnr.xpsnr.y",
})  # fmt: skip
# XPSNR weighs motion by two frames where there are up to 32 in a second, else by three. FFmpeg divides by the rate.
_FRAME_RATE: Final = 24
# XPSNR works on blocks whose side is a share of the picture's; where that comes out as 0, FFmpeg divides by it.
_MIN_XPSNR_PIXELS: Final = 2048
_MIN_SSIM_SIDE: Final = 8  # of the windows over which SSIM is taken

METRICS: Final = (*_RESULTS,)


class Filters:
    """The filters for a video of one size. Pairs are pushed in their order: XPSNR weighs motion."""

    def __init__(self, height: int, width: int) -> None:
        """Nothing is measured yet. `height` and `width` are in pixels."""
        self._filters = {name: _Filter(name, height, width) for name in _measurable(height, width)}

    def measure(self, one: Float32[np.ndarray, "h w 3"], other: Float32[np.ndarray, "h w 3"]) -> dict[str, float]:
        """The metrics of the next pair, by name; infinite where pictures are equal in 12 bits.

        Args:
            one: float32, in [-1, 1]; the reference, by whose texture and motion XPSNR weighs.
            other: the same.
        Returns:
            "psnr" and "xpsnr" in dB, "ssim" up to 1. One that a picture is too small for is not among them.
        """
        levels = {
            _RGB: [_to_levels(each)[..., _PLANES_OF_RGB] for each in (one, other)],
            _LUMA: [_to_levels(each @ np.array(_LUMA_WEIGHTS, np.float32))[..., None] for each in (one, other)],
        }
        return {name: each.measure(levels[_FORMATS[name]]) for name, each in self._filters.items()}


class _Filter:
    """One of the filters, with an input for each of the two videos."""

    def __init__(self, name: str, height: int, width: int) -> None:
        self._name, self._format = name, _FORMATS[name]
        self._height, self._width = height, width
        self._num_frames = 0
        self._graph = av.filter.Graph()
        size = f"video_size={width}x{height}:pix_fmt={self._format}:pixel_aspect=1/1"
        rate = f"time_base=1/{_FRAME_RATE}:frame_rate={_FRAME_RATE}/1"
        self._inputs = [self._graph.add("buffer", f"{size}:{rate}") for _ in range(2)]
        self._metric, self._output = self._graph.add(name), self._graph.add("buffersink")
        for place, source in enumerate(self._inputs):
            source.link_to(self._metric, 0, place)
        self._metric.link_to(self._output)
        self._graph.configure()

    def measure(self, pair: list[UInt16[np.ndarray, "h w planes"]]) -> float:
        """The metric of the next pair, as whole numbers of 12 bits."""
        for source, levels in zip(self._inputs, pair, strict=True):
            frame = av.VideoFrame(self._width, self._height, self._format)
            for plane, values in zip(frame.planes, np.moveaxis(levels, -1, 0), strict=True):
                padded = np.zeros((self._height, plane.line_size // values.itemsize), values.dtype)
                padded[:, : self._width] = values
                plane.update(padded.tobytes())
            frame.pts, frame.time_base = self._num_frames, Fraction(1, _FRAME_RATE)
            source.push(frame)
        self._num_frames += 1
        measured = self._output.pull()
        assert isinstance(measured, av.VideoFrame)
        return float(measured.metadata[_RESULTS[self._name]])


def _measurable(height: int, width: int) -> Iterator[str]:
    """The metrics that pictures of a size are large enough for."""
    yield "psnr"
    if min(height, width) >= _MIN_SSIM_SIDE:
        yield "ssim"
        if height * width >= _MIN_XPSNR_PIXELS:
            yield "xpsnr"


def _to_levels(values: Float[np.ndarray, "..."]) -> UInt16[np.ndarray, "..."]:
    """Values in [-1, 1] as whole numbers of 12 bits; beyond that, the nearest. A NaN is black."""
    unit = np.nan_to_num(values.astype(np.float32), nan=-1.0) * 0.5 + 0.5
    return np.rint(np.clip(unit, 0, 1) * _MAX_LEVEL).astype("<u2")
