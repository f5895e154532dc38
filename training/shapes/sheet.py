"""Contact sheets: many videos as one picture."""

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
