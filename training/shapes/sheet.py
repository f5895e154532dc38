"""Contact sheets: many videos as one picture, still or moving."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from training.shapes.draw import Video

SHOWN_FRAMES = (0, 4, 8)  # first, middle, last
GAP_PX = 4
GAP_GRAY = 200


def contact_sheet(videos: Sequence[Video], *, columns: int, cell_px: int = 48) -> Image.Image:
    """A grid of videos, row by row; of each, three frames side by side, `cell_px` square.

    Args:
        videos: [f, h, w, 3] each, float in 0..1, at least 9 frames, square.
    """
    rows = -(-len(videos) // columns)
    width_px, height_px = len(SHOWN_FRAMES) * cell_px + GAP_PX, cell_px + GAP_PX
    sheet = Image.new("RGB", (columns * width_px - GAP_PX, rows * height_px - GAP_PX), (GAP_GRAY,) * 3)
    for index, video in enumerate(videos):
        row, column = divmod(index, columns)
        frames = np.concatenate([video[frame] for frame in SHOWN_FRAMES], axis=1)
        picture = Image.fromarray((np.clip(frames, 0, 1) * 255).round().astype(np.uint8))
        picture = picture.resize((len(SHOWN_FRAMES) * cell_px, cell_px), Image.Resampling.BOX)
        sheet.paste(picture, (column * width_px, row * height_px))
    return sheet


def moving_sheet(videos: Sequence[Video], *, columns: int) -> list[Image.Image]:
    """A grid of videos that play at the same time, row by row: a picture for each frame.

    Args:
        videos: [f, h, w, 3] each, float in 0..1, all of one size and length.
    """
    num_frames, height_px, width_px, _ = videos[0].shape
    rows = -(-len(videos) // columns)
    size = (columns * (width_px + GAP_PX) - GAP_PX, rows * (height_px + GAP_PX) - GAP_PX)
    pictures = [Image.new("RGB", size, (GAP_GRAY,) * 3) for _ in range(num_frames)]
    for index, video in enumerate(videos):
        row, column = divmod(index, columns)
        for picture, frame in zip(pictures, video, strict=True):
            cell = Image.fromarray((np.clip(frame, 0, 1) * 255).round().astype(np.uint8))
            picture.paste(cell, (column * (width_px + GAP_PX), row * (height_px + GAP_PX)))
    return pictures
