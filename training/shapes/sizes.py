"""Sizes and lengths of the videos that the checkpoint learns, and how they are drawn at random."""

import numpy as np

from stages.geometry import VideoSize

SIDES_PX = tuple(range(64, 161, 16))
LENGTHS = (1, 5, 9, 13, 17, 21, 25)  # frames
LENGTH_WEIGHTS = (1, 1, 3, 2, 2, 1, 2)
SQUARE_SHARE = 0.4  # of the pictures; the others have two sides of their own
MAX_FRAMES = max(LENGTHS)
USUAL_SIZE = VideoSize(num_frames=9, height=96, width=96)  # of evaluations that look at one size


def random_sides(rng: np.random.Generator) -> tuple[int, int]:
    """Height and width, px."""
    if rng.random() < SQUARE_SHARE:
        side = int(rng.choice(SIDES_PX))
        return side, side
    height, width = rng.choice(SIDES_PX, size=2)
    return int(height), int(width)


def random_length(rng: np.random.Generator) -> int:
    """Frames."""
    return int(rng.choice(LENGTHS, p=np.array(LENGTH_WEIGHTS) / sum(LENGTH_WEIGHTS)))


def random_size(rng: np.random.Generator, *, max_pixels: int) -> VideoSize:
    """A size with at most `max_pixels` in all of its frames together."""
    while True:
        height, width = random_sides(rng)
        size = VideoSize(random_length(rng), height, width)
        if size.num_frames * height * width <= max_pixels:
            return size
