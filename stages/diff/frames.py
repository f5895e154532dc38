"""How far the frames of two files are from each other: `python -m stages.diff.frames ONE OTHER` prints JSON.

A process of its own, because what asks for it loads no NumPy. What it prints is read by frame_difference.py.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from stages.diff.filters import METRICS, Filters
from stages.errors import ContractError
from stages.pipeline.contracts import FRAMES
from stages.tensors.files import TensorReader


def measure_frames(one: Path, other: Path) -> dict[str, Any]:
    """Compare the frames of two files, pair by pair, so that no video has to be in memory.

    Returns:
        "sizes": of each, [frames, height, width]. Where they are the same, also "first": the number of the first frame
        that has other values, from 0, or None; "max_abs" of each frame, on the scale of the frames, -1 to 1, infinite
        where one of a pair is no number; and "psnr", "ssim" and "xpsnr" of each frame (see filters.py), None where
        frames are too small for one.
    Raises:
        ContractError: a file holds no frames.
    """
    with TensorReader(one, FRAMES.name) as first, TensorReader(other, FRAMES.name) as second:
        sizes = [first.shape[1:4], second.shape[1:4]]
        if sizes[0] != sizes[1]:
            return {"sizes": sizes}
        filters, max_abs, measured = Filters(*sizes[0][1:]), list[float](), list[dict[str, float]]()
        for pair in zip(first, second, strict=True):
            values = [each.astype(np.float32) for each in pair]
            max_abs.append(_max_abs(*values))
            measured.append(filters.measure(*values))
    return {
        "sizes": sizes,
        "first": next((place for place, distance in enumerate(max_abs) if distance > 0), None),
        "max_abs": max_abs,
        **{name: [each[name] for each in measured] if name in measured[0] else None for name in METRICS},
    }


def _max_abs(one: Any, other: Any) -> float:
    """The largest difference; a NaN equals a NaN, and is infinitely far from a number."""
    is_equal = (one == other) | (np.isnan(one) & np.isnan(other))
    distance = np.abs(np.subtract(one, other, where=~is_equal, out=np.zeros_like(one)))
    return float(np.nan_to_num(distance, nan=np.inf, posinf=np.inf).max(initial=0.0))


if __name__ == "__main__":
    try:
        print(json.dumps(measure_frames(Path(sys.argv[1]), Path(sys.argv[2]))))
    except ContractError as error:
        sys.exit(str(error))
