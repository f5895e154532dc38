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
    size = (len(SHOWN_FRAMES) * cell_px, cell_px)
    strips = [_picture(np.concatenate([video[frame] for frame in SHOWN_FRAMES], axis=1)) for video in videos]
    return _grid([strip.resize(size, Image.Resampling.BOX) for strip in strips], columns)


def moving_sheet(videos: Sequence[Video], *, columns: int) -> list[Image.Image]:
    """A grid of videos that play at the same time, row by row: a picture for each frame.

    Args:
        videos: [f, h, w, 3] each, float in 0..1, all of one size and length.
    """
    return [_grid([_picture(frame) for frame in frames], columns) for frames in zip(*videos, strict=True)]


def _picture(frame: Video) -> Image.Image:
    """A frame, [h, w, 3] in 0..1, as a picture."""
    return Image.fromarray((np.clip(frame, 0, 1) * 255).round().astype(np.uint8))


def _grid(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size, row by row."""
    width_px, height_px = (side + GAP_PX for side in cells[0].size)
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width_px - GAP_PX, rows * height_px - GAP_PX), (GAP_GRAY,) * 3)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        sheet.paste(cell, (column * width_px, row * height_px))
    return sheet
