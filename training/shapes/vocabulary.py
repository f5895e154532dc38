"""What the videos can show: shapes, colours, motions, backgrounds; and which combinations are held out."""

import itertools
import random
from collections import Counter
from dataclasses import dataclass, fields

SHAPES = ("circle", "square", "triangle")
COLORS: dict[str, tuple[int, int, int]] = {  # RGB, 0..255
    "red": (220, 30, 30),
    "green": (30, 170, 50),
    "blue": (40, 70, 230),
    "yellow": (240, 210, 30),
    "purple": (150, 40, 190),
    "cyan": (30, 200, 220),
}
MOTIONS: dict[str, tuple[int, int]] = {  # (right, down): direction of travel
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "still": (0, 0),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {"black": (0, 0, 0), "gray": (128, 128, 128), "white": (255,) * 3}

NUM_HELD_OUT = 27  # a tenth of the 270 combinations
HELD_OUT_SEED = 20
HELD_OUT_MINIMUM = {"shape": 7, "color": 3, "motion": 4, "background": 7}  # of each value, at least


@dataclass(frozen=True, order=True)
class Combination:
    """What one video shows; each field is a key of the tables above."""

    shape: str
    color: str
    motion: str
    background: str


def all_combinations() -> tuple[Combination, ...]:
    """All 270, in a fixed order."""
    return tuple(Combination(*values) for values in itertools.product(SHAPES, COLORS, MOTIONS, BACKGROUNDS))


def held_out_combinations() -> tuple[Combination, ...]:
    """The 27 that no training step ever sees, sorted; every value of every attribute is among them."""
    rng = random.Random(HELD_OUT_SEED)  # noqa: S311 - a draw, not a secret
    everything = all_combinations()
    while True:
        chosen = rng.sample(everything, NUM_HELD_OUT)
        if _is_balanced(chosen):
            return tuple(sorted(chosen))


def training_combinations() -> tuple[Combination, ...]:
    """The 243 that are trained on."""
    held_out = set(held_out_combinations())
    return tuple(combination for combination in all_combinations() if combination not in held_out)


def _is_balanced(chosen: list[Combination]) -> bool:
    values = {"shape": SHAPES, "color": COLORS, "motion": MOTIONS, "background": BACKGROUNDS}
    for field in fields(Combination):
        counts = Counter(getattr(combination, field.name) for combination in chosen)
        if min(counts[value] for value in values[field.name]) < HELD_OUT_MINIMUM[field.name]:
            return False
    return True
