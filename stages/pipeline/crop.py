"""What `export.crop` means: the size in pixels to which frames are cut, about their centre.

The VAE makes multiples of 16 only, and screens have 1080 or 480 lines. Owns the text, the rules for it, and whether
it fits into frames; stages/export/cropping.py cuts.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator

from stages.pipeline.rules import MAX_PIXELS, Neutral

_TEXT: Final = re.compile("\\s*([0-9]{1,5})\\s*[xX\u00d7]\\s*([0-9]{1,5})\\s*")  # the last one is a multiplication sign
_MIN_SIDE = 16  # pixels; every codec takes as much


@dataclass(frozen=True)
class CropSize:
    """Width and height of what is left of a frame, in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def read_crop(text: str) -> CropSize | None:
    """The size that a text means; None for "", which cuts nothing.

    Raises:
        ValueError: it means none, or one that a video cannot have; says what to write.
    """
    if not text:
        return None
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError('must be "<width>x<height>" in pixels, such as "1920x1080".')
    size = CropSize(int(match[1]), int(match[2]))
    if min(size.width, size.height) < _MIN_SIDE:
        raise ValueError(f"must be {_MIN_SIDE}x{_MIN_SIDE} or more.")
    if max(size.width, size.height) > MAX_PIXELS:
        raise ValueError(f"must be {MAX_PIXELS}x{MAX_PIXELS} or less.")
    even = CropSize(size.width + size.width % 2, size.height + size.height % 2)
    if size != even:
        raise ValueError(f'must be even both ways, because four pixels share a colour. Use "{even}".')
    return size


def explain_misfit(crop: CropSize, *, width: int, height: int) -> str | None:
    """What is wrong with a crop of frames of this size, in pixels, or None. How to fix it is the caller's."""
    if crop.width <= width and crop.height <= height:
        return None
    return f"must be no larger than the frames, which are {width}x{height}."


def half_crop(text: str) -> str:
    """The crop of frames of half the height and width; "" stays."""
    size = read_crop(text)
    return "" if size is None else str(CropSize(_half_side(size.width), _half_side(size.height)))


def _half_side(side: int) -> int:
    """Half of a side in pixels, or a bit less: an even number that every codec takes."""
    return max(side // 4 * 2, _MIN_SIDE)


def _normal_form(value: Any) -> str:
    """One text per size, so that equal crops have equal keys."""
    size = read_crop(value if isinstance(value, str) else type(value).__name__)
    return "" if size is None else str(size)


Crop: TypeAlias = Annotated[str, BeforeValidator(_normal_form), Neutral("")]
