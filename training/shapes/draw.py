"""Draws the videos: one shape of one colour that moves in a straight line over a plain background.

The object starts near one side of the picture and crosses it at a constant speed in `sizes.MAX_FRAMES` frames. Where it
is in a frame does not depend on the length of the video: a shorter video is the beginning of a longer one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.geometry import VideoSize
from training.shapes.sizes import MAX_FRAMES
from training.shapes.vocabulary import BACKGROUNDS, COLORS, MOTIONS, Combination

RADIUS_PX, RADIUS_SHARE = 5.0, 0.09  # of the circle: so much, and this share of the shorter side; other shapes' area is
RADIUS_JITTER = 0.04  # the same. Share of the radius, both ways
JITTER_SHARE = 0.02  # of each side: the path is moved by up to this much, both ways
GAP_PX = 1.0  # between the object and the side of the picture, at least
EXTENT = 1.35  # of the widest shape, the triangle, from its middle; in radii of the circle
SQUARE_SIDE = float(np.sqrt(np.pi))  # side of a square with the area of a circle of radius 1
TRIANGLE_RADIUS = float(np.sqrt(4 * np.pi / (3 * np.sqrt(3))))  # circumradius of such an equilateral triangle

Video = NDArray[np.float32]
"""[f, h, w, c], 0..1."""


@dataclass(frozen=True)
class Scene:
    """One video to draw: what it shows, its size, and the jitter that tells it from others of the same combination."""

    combination: Combination
    size: VideoSize
    offset_px: tuple[float, float]  # (right, down): middle of the path from the middle of the picture
    radius_px: float


@dataclass(frozen=True)
class Window:
    """The part of a scene to draw: frames from `first` on, and a rectangle of pixels."""

    first: int
    num_frames: int
    top: int
    left: int
    height: int
    width: int


def middle_radius_px(size: VideoSize) -> float:
    """Radius of the circle in a picture of this size, without jitter."""
    return RADIUS_PX + RADIUS_SHARE * min(size.height, size.width)


def speed_px(size: VideoSize, motion: str) -> float:
    """How far an object with this motion moves from a frame to the next."""
    side = size.width if MOTIONS[motion][0] else size.height
    reach = EXTENT * middle_radius_px(size) * (1 + RADIUS_JITTER) + JITTER_SHARE * side + GAP_PX
    return 0.0 if motion == "still" else (side - 2 * reach) / (MAX_FRAMES - 1)


def way_px(size: VideoSize, motion: str) -> float:
    """How far an object with this motion moves from the first frame to the last."""
    return speed_px(size, motion) * (min(size.num_frames, MAX_FRAMES) - 1)


def random_scene(combination: Combination, rng: np.random.Generator, size: VideoSize) -> Scene:
    """A scene of this combination with uniform jitter."""
    right, down = rng.uniform(-JITTER_SHARE, JITTER_SHARE, size=2)
    radius_px = middle_radius_px(size) * rng.uniform(1 - RADIUS_JITTER, 1 + RADIUS_JITTER)
    return Scene(combination, size, (float(right) * size.width, float(down) * size.height), float(radius_px))


def centers_px(scene: Scene) -> Video:
    """[f, 2], (right, down) from the top left corner: middle of the object in each frame.

    After `MAX_FRAMES` frames it stays where it has arrived.
    """
    size = scene.size
    middle = np.array([size.width, size.height]) / 2 + scene.offset_px
    frame = np.minimum(np.arange(size.num_frames), MAX_FRAMES - 1) - (MAX_FRAMES - 1) / 2
    way = frame[:, None] * speed_px(size, scene.combination.motion) * np.asarray(MOTIONS[scene.combination.motion])
    return np.asarray(middle + way, dtype=np.float32)


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


def draw(scene: Scene, window: Window | None = None) -> Video:
    """The frames of `scene`, or what `window` shows of them: [f, h, w, 3], 0..1, antialiased over one pixel."""
    size, combination = scene.size, scene.combination
    part = window or Window(0, size.num_frames, 0, 0, size.height, size.width)
    centers = centers_px(scene)[part.first : part.first + part.num_frames]
    if combination.shape == "triangle":  # from the middle of its height to its centroid
        centers = centers + np.asarray([0, scene.radius_px * TRIANGLE_RADIUS / 4], dtype=np.float32)
    across = part.left + np.arange(part.width, dtype=np.float32) + np.float32(0.5)
    along = part.top + np.arange(part.height, dtype=np.float32) + np.float32(0.5)
    right = across[None, None, :] - centers[:, 0, None, None]
    down = along[None, :, None] - centers[:, 1, None, None]
    right, down = np.broadcast_arrays(right, down)
    coverage = np.clip(0.5 - signed_distance(combination.shape, right, down, scene.radius_px), 0, 1)[..., None]
    color = np.asarray(COLORS[combination.color], dtype=np.float32) / 255
    background = np.asarray(BACKGROUNDS[combination.background], dtype=np.float32) / 255
    return np.asarray(background + coverage * (color - background), dtype=np.float32)
