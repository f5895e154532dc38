"""Cutting frames."""

import numpy as np
import pytest

from stages.export.cropping import crop_frames


def middle(frame_side: tuple[int, int], crop: tuple[int, int]) -> list[list[int]]:
    """What is left of a frame that holds 10 * row + column."""
    rows, columns = np.mgrid[: frame_side[0], : frame_side[1]]
    (frame,) = crop_frames([(10 * rows + columns)[..., None]], height=crop[0], width=crop[1])
    left: list[list[int]] = frame[..., 0].tolist()
    return left


@pytest.mark.parametrize(
    ("crop", "left"),
    [
        ((2, 4), [[11, 12, 13, 14], [21, 22, 23, 24]]),
        ((4, 2), [[2, 3], [12, 13], [22, 23], [32, 33]]),
        ((3, 1), [[2], [12], [22]]),
        ((4, 6), [[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25], [30, 31, 32, 33, 34, 35]]),
    ],
)
def test_the_middle_of_a_frame_is_left(crop: tuple[int, int], left: list[list[int]]):
    assert middle((4, 6), crop) == left


def test_every_frame_is_cut_and_none_is_copied():
    frames = np.arange(3 * 4 * 6 * 3).reshape(3, 4, 6, 3)
    cut = list(crop_frames(frames, height=2, width=4))
    assert np.array_equal(cut, frames[:, 1:3, 1:5])
    assert all(np.shares_memory(frame, frames) for frame in cut)
