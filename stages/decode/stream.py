"""A video, latent frame by latent frame: latents of the DiT go in, frames come out as soon as they are decoded.

Owns the step from DiT space to VAE space (the one division by the scaling factor) and from floats to what is stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, BFloat16, Float

from stages.decode.config import DecoderConfig
from stages.decode.forward import DecoderState, FramePrograms, decode_chunk, initial_state
from stages.decode.strips import place
from stages.decode.structure import DecoderWeights
from stages.decode.tiling import LatentTile, Tile, TileGrid, cut_tiles, join_tiles
from stages.tensors.finite import require_finite


def decode_video(
    weights: DecoderWeights[Array],
    latents: Float[Array | np.ndarray, "1 f h w c"],
    *,
    config: DecoderConfig,
    grid: TileGrid,
    devices: Sequence[jax.Device],
    programs: Mapping[tuple[int, int], FramePrograms],
) -> Iterator[Float[Array, "f_px h_px w_px rgb"]]:
    """Decode a video; each item is what one latent frame holds.

    Every tile of the grid keeps a state of its own, so tiles are joined per latent frame and the whole video is
    never in memory.

    Args:
        weights: all of one dtype, float32 or bfloat16, on all `devices`.
        latents: [1, f, h, w, c] in DiT space: divided by the scaling factor here and nowhere else.
        config: sizes of the decoder.
        grid: `one_tile` or `plan_tiles` for this height and width.
        devices: where to decode, all of them together.
        programs: for each size of a tile, [height, width] latent cells: `compile_tiles`.
    Yields:
        [n, H, W, 3], not clamped, of the weights' dtype, on all devices; n = 1 first, then `temporal_compression`.
    """
    num_latent_frames = latents.shape[1]
    scaled = to_vae_space(latents, config, dtype=weights.norm_out.dtype)
    tiles = cut_tiles(jax.device_put(scaled, place(devices)), grid)
    states = [[initial_state(num_latent_frames) for _ in row] for row in tiles]
    step_px = grid.step * config.spatial_compression
    blend_px = grid.tile_size * config.spatial_compression - step_px
    for index in range(num_latent_frames):
        states, decoded = _decode_tiles(weights, states, tiles, index, programs=programs)
        yield join_tiles(decoded, blend_px=blend_px, step_px=step_px)[0]


def finish(
    pieces: Iterator[Float[Array, "f_px h_px w_px rgb"]], *, dtype: str, checkpoint: Path
) -> Iterator[BFloat16[np.ndarray, "f_px h_px w_px rgb"]]:
    """Decoded frames as frames.safetensors holds them, as soon as they come.

    Args:
        pieces: from `decode_video`: [n, H, W, 3] each, not clamped.
        dtype: of the decoder, for messages.
        checkpoint: the VAE's folder, for messages.
    Yields:
        [n, H, W, 3], bfloat16, in [-1, 1].
    Raises:
        StageError: frames are not finite.
    """
    for index, frames in enumerate(pieces):
        what = f"frames of latent frame {index}"
        require_finite(frames, what=what, parameter="decode.dtype", dtype=dtype, checkpoint=checkpoint)
        yield np.asarray(to_stored(frames))


def to_vae_space(
    latents: Float[Array | np.ndarray, "1 f h w c"], config: DecoderConfig, *, dtype: DTypeLike
) -> Float[np.ndarray, "1 f h w c"]:
    """Divide latents in DiT space, [1, f, h, w, c], by the scaling factor, in the host's memory.

    They are rounded to `dtype` first and then divided in float32: as torch does it in diffusers' pipeline, to the bit.
    XLA multiplies by the reciprocal instead, which rounds other values for a third of all.
    """
    rounded = np.asarray(latents).astype(dtype)
    scaled: np.ndarray = (rounded.astype(np.float32) / np.float32(config.scaling_factor)).astype(dtype)
    return scaled


def to_stored(frames: Float[Array, "f h_px w_px rgb"]) -> BFloat16[Array, "f h_px w_px rgb"]:
    """Clamp frames, [f, H, W, 3], to [-1, 1] and round them to bfloat16: what frames.safetensors holds."""
    return jnp.clip(frames, -1, 1).astype(jnp.bfloat16)


def _decode_tiles(
    weights: DecoderWeights[Array],
    states: list[list[DecoderState]],
    tiles: list[list[LatentTile]],
    index: int,
    *,
    programs: Mapping[tuple[int, int], FramePrograms],
) -> tuple[list[list[DecoderState]], list[list[Tile]]]:
    """Latent frame `index` of every tile, row by row; the old states are used up."""
    results = [
        [
            decode_chunk(weights, state, tile[:, index : index + 1], programs=programs[tile.shape[2], tile.shape[3]])
            for state, tile in zip(state_row, tile_row, strict=True)
        ]
        for state_row, tile_row in zip(states, tiles, strict=True)
    ]
    return [[state for state, _ in row] for row in results], [[frames for _, frames in row] for row in results]
