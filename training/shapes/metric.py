"""Reads colour, shape, motion and background off a video of the built-in checkpoint's world. numpy only.

It is right on every drawn video, also with noise as a video codec leaves it; so a wrong reading of a generated
video is the video's fault. Each reading is the nearest of the vocabulary's values, there is no "unsure", except
that a video without any object reads as `NOTHING`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.geometry import VideoSize
from training.shapes.draw import Video, middle_radius_px, signed_distance, way_px
from training.shapes.vocabulary import BACKGROUNDS, COLORS, SHAPES, Combination

NOTHING = "nothing"
BORDER_PX = 4  # the frame around the picture that shows the background; the object is nearly never there
DIFFERENT = 0.18  # of 0..1, in one channel: the weakest pair (purple on gray) differs by 0.34, noise by 0.03
MIN_AREA_SHARE = 0.1  # of the area of the shape as it is drawn, mean per frame; less is noise or nothing
STILL_SHARE = 0.4  # of the way that a moving object has; the way of the centroid of one that is still is shorter

Mask = NDArray[np.bool_]
"""[f, h, w], true on the object."""


@dataclass(frozen=True)
class Reading:
    """What a video shows.

    Attributes:
        combination: the four readings; shape, colour and motion may be `NOTHING`.
        travel_px: (right, down), way of the object's centroid from the first frame to the last.
        overlap: 0..1, mean over frames: intersection over union of the object and the ideal shape of its area.
    """

    combination: Combination
    travel_px: tuple[float, float]
    overlap: float


def read_video(video: Video) -> Reading:
    """Read a video, [f, h, w, 3], float in 0..1 (RGB)."""
    video = np.asarray(video, dtype=np.float32)
    edges = (video[:, :BORDER_PX], video[:, -BORDER_PX:], video[:, :, :BORDER_PX], video[:, :, -BORDER_PX:])
    background_color = np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)
    background = _nearest(background_color, BACKGROUNDS)
    object_mask = np.abs(video - background_color).max(axis=-1) > DIFFERENT
    size = VideoSize(*video.shape[:3])
    if object_mask.sum() < MIN_AREA_SHARE * np.pi * middle_radius_px(size) ** 2 * len(video):
        return Reading(Combination(NOTHING, NOTHING, NOTHING, background), (0.0, 0.0), 0.0)
    color = np.median(video[object_mask], axis=0)
    object_mask = _coverage(video, color, background_color) > 0.5
    shape, overlap = read_shape(object_mask)
    motion, travel_px = read_motion(object_mask)
    return Reading(Combination(shape, _nearest(color, COLORS), motion, background), travel_px, overlap)


def read_shape(object_mask: Mask) -> tuple[str, float]:
    """The shape that overlaps best when drawn with the object's area at its centroid, and the mean overlap."""
    scores = np.array([_overlaps(frame) for frame in object_mask if frame.any()])
    if len(scores) == 0:
        return NOTHING, 0.0
    means = scores.mean(axis=0)
    return SHAPES[int(means.argmax())], float(means.max())


def _overlaps(frame: NDArray[np.bool_]) -> list[float]:
    """Intersection over union of the object in one frame with each of `SHAPES`."""
    rows, columns = np.nonzero(frame)
    radius_px = float(np.sqrt(len(rows) / np.pi))
    reach_px = int(2 * radius_px) + 1  # no shape of this area reaches further from its centroid
    top, left = max(0, int(rows.mean()) - reach_px), max(0, int(columns.mean()) - reach_px)
    near = frame[top : top + 2 * reach_px, left : left + 2 * reach_px]
    indices = np.indices(near.shape, dtype=np.float32)
    down = np.asarray(indices[0] + top - rows.mean(), dtype=np.float32)
    right = np.asarray(indices[1] + left - columns.mean(), dtype=np.float32)
    overlaps = []
    for shape in SHAPES:
        ideal = signed_distance(shape, right, down, radius_px) < 0
        common = np.count_nonzero(near & ideal)
        overlaps.append(float(common / (len(rows) + np.count_nonzero(ideal) - common)))
    return overlaps


def read_motion(object_mask: Mask) -> tuple[str, tuple[float, float]]:
    """The direction in which the object's centroid moves between the first and the last frame that show it.

    A single frame shows no motion: it reads as still.
    """
    seen = [frame for frame in object_mask if frame.any()]
    if not seen:
        return NOTHING, (0.0, 0.0)
    start, end = (np.argwhere(frame).mean(axis=0) for frame in (seen[0], seen[-1]))
    down, right = (float(value) for value in end - start)
    size = VideoSize(*object_mask.shape)
    drawn_right, drawn_down = (way_px(size, motion) for motion in ("right", "down"))
    if size.num_frames == 1 or max(abs(right) / drawn_right, abs(down) / drawn_down) < STILL_SHARE:
        motion = "still"
    elif abs(right) / drawn_right > abs(down) / drawn_down:
        motion = "right" if right > 0 else "left"
    else:
        motion = "down" if down > 0 else "up"
    return motion, (right, down)


def _coverage(video: Video, color: Video, background_color: Video) -> Video:
    """[f, h, w]: how far each pixel is on the way from the background to the object's colour, 0..1 between."""
    way = color - background_color
    return np.asarray((video - background_color) @ way / (way @ way), dtype=np.float32)


def _nearest(color: Video, table: dict[str, tuple[int, int, int]]) -> str:
    """The name in `table` (RGB, 0..255) that is nearest to `color` (0..1)."""
    return min(table, key=lambda name: float(((color - np.asarray(table[name]) / 255) ** 2).sum()))
