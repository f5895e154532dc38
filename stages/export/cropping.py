"""Cuts frames to a size, about their centre."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def crop_frames(frames: Iterable[Array], *, height: int, width: int) -> Iterator[Array]:
    """The middle of each frame; where one row or column is left over, it goes at the bottom or on the right.

    Args:
        frames: each [h, w, c], any dtype, at least as large as what is cut out.
        height: of what is left, in pixels.
        width: of what is left, in pixels.
    Returns:
        Views of the frames, [height, width, c], one at a time.
    """
    for frame in frames:
        top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
        yield frame[top : top + height, left : left + width]
