"""Real videos of one gray, for what measures how far two are apart."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from stages.export.video import write_video
from stages.geometry import VideoSize

_SIDE = 32


def write_gray(path: Path, value: float, *, num_frames: int = 2) -> Path:
    """An H.264 file whose frames are all `value`, in [-1, 1], to the level."""
    write_video(
        [np.full((_SIDE, _SIDE, 3), value, np.float32)] * num_frames,
        path,
        size=VideoSize(num_frames, _SIDE, _SIDE),
        fps=Fraction(8),
        codec="h264",
        crf=1,
        metadata="",
        progress=lambda _done, _total: None,
    )
    return path
