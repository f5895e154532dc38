"""A map from latents to small pictures, fitted by least squares to what a VAE has decoded.

Each latent cell becomes PATCH x PATCH pixels, by a linear function of the cell, the eight around it, and these nine in
the latent frame before, because the decoder is causal. Figures: docs/decisions/0036-previews.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float, Float32, Float64

from stages.geometry import LATENT_CHANNELS

PATCH = 4  # pixels of a preview on a side of a latent cell: 320x180 for 720p
_NEIGHBORS = 2 * 9  # 3x3 cells of two latent frames: 26.0 dB on held-out clips; of one frame 23.7, one cell 17.7
NUM_INPUTS = _NEIGHBORS * LATENT_CHANNELS + 1  # and a constant
NUM_OUTPUTS = PATCH * PATCH * 3
# Of the inputs' variance, which latents have of about 1: with four clips it brings 1.5 dB, with 32 still 0.6.
_RIDGE = 3e-2


@dataclass(frozen=True)
class ColorMap:
    """The map of one VAE.

    Attributes:
        weights: [inputs, outputs], float32.
        num_clips: to how many videos it was fitted.
    """

    weights: Float32[np.ndarray, "i o"]
    num_clips: int

    def paint(self, latents: Float[np.ndarray, "c f h w"]) -> Float[np.ndarray, "f h_px w_px rgb"]:
        """Pictures, [f, PATCH * h, PATCH * w, 3], float32 in [-1, 1], of latents in DiT space."""
        _, f, h, w = latents.shape
        # frame by frame: the inputs take eighteen times the memory of the latents
        frames = [_gather(latents, range(index, index + 1)) @ self.weights for index in range(f)]
        return np.clip(_from_patches(np.concatenate(frames), (f, h, w)), -1, 1)


class Fit:
    """Sums over clips, from which the map comes; the clips themselves are not kept.

    Attributes:
        num_clips: how many have been seen.
        num_cells: of them all, how many have been looked at.
    """

    def __init__(self) -> None:
        """Nothing has been seen."""
        self._products: Float64[np.ndarray, "i i"] = np.zeros((NUM_INPUTS, NUM_INPUTS))
        self._targets: Float64[np.ndarray, "i o"] = np.zeros((NUM_INPUTS, NUM_OUTPUTS))
        self.num_cells = 0
        self.num_clips = 0

    def add(
        self,
        latents: Float[np.ndarray, "c f h w"],
        frames: Iterable[Float[np.ndarray, "h_px w_px rgb"]],
        *,
        max_cells: int | None = None,
    ) -> None:
        """See one video.

        Args:
            latents: in DiT space.
            frames: what the VAE has made of them, 1 + 4 * (f - 1) of [16 * h, 16 * w, 3], in [-1, 1]; as many are
                asked for as `latents` take.
            max_cells: how many cells to look at, evenly spread; None: all.
        """
        num_frames = latents.shape[1]
        inputs, targets = _gather(latents, range(num_frames)), _to_patches(shrink_frames(frames, num_frames))
        every = 1 if max_cells is None else -(-len(inputs) // max_cells)
        inputs, targets = inputs[::every].astype(np.float64), targets[::every].astype(np.float64)
        self._products += inputs.T @ inputs
        self._targets += inputs.T @ targets
        self.num_cells += len(inputs)
        self.num_clips += 1

    def solve(self, *, ridge: float = _RIDGE) -> ColorMap:
        """The map that fits best, after at least one video; `ridge`, >= 0, keeps its weights small."""
        penalty = np.full(NUM_INPUTS, ridge * self.num_cells)
        penalty[-1] = 0  # of the constant
        weights = np.linalg.solve(self._products + np.diag(penalty), self._targets)
        return ColorMap(weights.astype(np.float32), self.num_clips)


def paint_gray(latents: Float[np.ndarray, "c f h w"]) -> Float[np.ndarray, "f h_px w_px rgb"]:
    """Pictures of latents whose VAE nobody knows yet: what varies most in them, as shades of gray.

    Whether it is light or dark is not known: it may be a negative.

    Returns:
        [f, PATCH * h, PATCH * w, 3], float32 in [-1, 1].
    """
    c = latents.shape[0]
    cells = latents.reshape(c, -1).astype(np.float64)
    cells = cells - cells.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(cells @ cells.T)
    main = vectors[:, -1] @ cells
    scale = 2 * main.std() or 1.0
    shades = np.clip(main / scale, -1, 1).reshape(latents.shape[1:]).astype(np.float32)
    return np.repeat(shades.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[..., np.newaxis], 3, axis=-1)


def shrink_frames(
    frames: Iterable[Float[np.ndarray, "h_px w_px rgb"]], num_latent_frames: int
) -> Float[np.ndarray, "f h_small w_small rgb"]:
    """Frames of a video as a preview shows them: one for each latent frame, the mean of those that it holds.

    Args:
        frames: [H, W, 3] each; no more are asked for than needed.
        num_latent_frames: >= 1.
    Returns:
        [f, H * PATCH / 16, W * PATCH / 16, 3], float32.
    Raises:
        ValueError: there are too few of them.
    """
    coming, small = iter(frames), []
    for size in (1, *[4] * (num_latent_frames - 1)):
        group = [_shrink(frame) for frame in islice(coming, size)]
        if len(group) < size:
            raise ValueError("the video has fewer frames than its latents")
        small.append(np.mean(group, axis=0))
    return np.stack(small)


def _shrink(frame: Float[np.ndarray, "h_px w_px rgb"]) -> Float[np.ndarray, "h_small w_small rgb"]:
    side = 16 // PATCH
    h, w = frame.shape[0] // side, frame.shape[1] // side
    return frame.astype(np.float32).reshape(h, side, w, side, 3).mean(axis=(1, 3))


def _gather(latents: Float[np.ndarray, "c f h w"], frames: range) -> Float[np.ndarray, "cells i"]:
    """The inputs of each cell of some latent frames, float32: all neighbours' channels, and 1. Edges are repeated."""
    c, _, h, w = latents.shape
    earlier = [max(frames.start - 1, 0), *frames[:-1]]
    chosen = np.concatenate([latents[:, earlier], latents[:, [*frames]]]).astype(np.float32)
    padded = np.pad(chosen, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    parts = [padded[:, :, y : y + h, x : x + w] for y in range(3) for x in range(3)]
    num_cells = len(frames) * h * w
    inputs = np.concatenate(parts).reshape(_NEIGHBORS * c, num_cells).T
    return np.concatenate([inputs, np.ones((num_cells, 1), np.float32)], axis=1)


def _to_patches(pictures: Float[np.ndarray, "f h_px w_px rgb"]) -> Float[np.ndarray, "cells o"]:
    """The outputs of each cell; the inverse of `_from_patches`."""
    f, h, w = pictures.shape[0], pictures.shape[1] // PATCH, pictures.shape[2] // PATCH
    split = pictures.reshape(f, h, PATCH, w, PATCH, 3)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(f * h * w, NUM_OUTPUTS)


def _from_patches(
    outputs: Float[np.ndarray, "cells o"], size: tuple[int, int, int]
) -> Float[np.ndarray, "f h_px w_px rgb"]:
    f, h, w = size
    split = outputs.reshape(f, h, w, PATCH, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(f, h * PATCH, w * PATCH, 3)
