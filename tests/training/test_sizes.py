"""Random sizes are those that the checkpoint is for."""

import numpy as np

from stages.geometry import SPATIAL_COMPRESSION, is_valid_num_frames
from training.shapes.sizes import LENGTHS, SIDES_PX, random_length, random_sides, random_size


def test_every_side_and_length_is_drawn_and_valid() -> None:
    rng = np.random.default_rng(0)
    sides = {side for _ in range(500) for side in random_sides(rng)}
    assert sides == set(SIDES_PX)
    assert {random_length(rng) for _ in range(500)} == set(LENGTHS)
    assert all(side % SPATIAL_COMPRESSION == 0 for side in SIDES_PX)
    assert all(is_valid_num_frames(length) for length in LENGTHS)


def test_size_has_at_most_the_pixels_asked_for() -> None:
    rng = np.random.default_rng(1)
    sizes = [random_size(rng, max_pixels=100_000) for _ in range(200)]
    assert max(size.num_frames * size.height * size.width for size in sizes) <= 100_000
    assert len({(size.height, size.width) for size in sizes}) > 30
