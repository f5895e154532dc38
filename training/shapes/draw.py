"""Draws the videos: one shape of one colour that moves in a straight line over a plain background."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.shapes.vocabulary import BACKGROUNDS, COLORS, MOTIONS, Combination

TRAVEL_PX = 44.0  # from the first frame to the last
JITTER_PX = 4.0  # the centre of the path is moved by up to this much, both ways
RADIUS_PX = (13.0, 14.5)  # of the circle; the other shapes have the same area
SQUARE_SIDE = float(np.sqrt(np.pi))  # side of a square with the area of a circle of radius 1
TRIANGLE_RADIUS = float(np.sqrt(4 * np.pi / (3 * np.sqrt(3))))  # circumradius of such an equilateral triangle

Video = NDArray[np.float32]
"""[f, h, w, c], 0..1."""


@dataclass(frozen=True)
class Scene:
    """One video to draw: what it shows, and the jitter that tells it from others of the same combination."""

    combination: Combination
    offset_px: tuple[float, float]  # (right, down): middle of the path from the middle of the picture
    radius_px: float


def random_scene(combination: Combination, rng: np.random.Generator) -> Scene:
    """A scene of this combination with uniform jitter."""
    right, down = rng.uniform(-JITTER_PX, JITTER_PX, size=2)
    return Scene(combination, (float(right), float(down)), float(rng.uniform(*RADIUS_PX)))


def signed_distance(shape: str, right: Video, down: Video, radius_px: float) -> Video:
    """Distance in px to the outline of `shape` around the origin, negative inside; exact near edges.

    The triangle stands on its base, its centroid at the origin.
    """
    if shape == "circle":
        return np.asarray(np.sqrt(right**2 + down**2) - radius_px, dtype=np.float32)
    if shape == "square":
        outside = np.maximum(np.abs(right), np.abs(down)) - radius_px * SQUARE_SIDE / 2
        return np.asarray(outside, dtype=np.float32)
    sides = np.sqrt(3) / 2 * np.abs(right) - down / 2
    return np.asarray(np.maximum(sides, down) - radius_px * TRIANGLE_RADIUS / 2, dtype=np.float32)


def draw(scene: Scene, *, num_frames: int = 9, size_px: int = 96) -> Video:
    """The frames of `scene`, [f, h, w, 3], float32 in 0..1, antialiased over one pixel."""
    combination = scene.combination
    direction = np.asarray(MOTIONS[combination.motion], dtype=np.float32)
    progress = np.linspace(-0.5, 0.5, num_frames, dtype=np.float32)[:, None]
    middle = size_px / 2 + np.asarray(scene.offset_px, dtype=np.float32)
    centers = middle + progress * TRAVEL_PX * direction  # [f, 2]
    pixels = np.arange(size_px, dtype=np.float32) + 0.5
    right = pixels[None, None, :] - centers[:, 0, None, None]
    down = pixels[None, :, None] - centers[:, 1, None, None]
    right, down = np.broadcast_arrays(right, down)
    coverage = np.clip(0.5 - signed_distance(combination.shape, right, down, scene.radius_px), 0, 1)[..., None]
    color = np.asarray(COLORS[combination.color], dtype=np.float32) / 255
    background = np.asarray(BACKGROUNDS[combination.background], dtype=np.float32) / 255
    return np.asarray(background + coverage * (color - background), dtype=np.float32)
