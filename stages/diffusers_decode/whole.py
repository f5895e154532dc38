"""A video whose latent frames are decoded all at once, tile by tile: by decoders that keep no state between them.

Owns the order of the work and which frames of the result belong to which latent frame. The decoders are in
torch_decoder.py and flax_decoder.py; the native one streams (stream.py).
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float

from stages.decode.config import DecoderConfig
from stages.decode.stream import to_vae_space
from stages.decode.tiling import LatentTile, Tile, TileGrid, cut_tiles, join_tiles
from stages.tensors.dtypes import DTYPES

Progress: TypeAlias = Callable[[int, int, str], None]  # called with: how many are done, how many there are, of what
# Latents in VAE space -> all their frames, of any float dtype, on the host or on a device.
DecodeTile: TypeAlias = Callable[[LatentTile], Tile | Float[np.ndarray, "b f_px _ _ rgb"]]


def decode_whole(
    decode_tile: DecodeTile,
    latents: Float[Array | np.ndarray, "1 f h w c"],
    grid: TileGrid,
    progress: Progress,
    *,
    config: DecoderConfig,
    dtype: str,
    device: jax.Device,
) -> Iterator[Float[Array, "f_px h_px w_px rgb"]]:
    """Decode a video; each item is what one latent frame holds, though the first comes when all are decoded.

    Args:
        decode_tile: decodes [1, f, h, w, c] of any height and width into [1, F, H, W, 3].
        latents: [1, f, h, w, c] in DiT space: divided by the scaling factor here and nowhere else.
        grid: `one_tile` or `plan_tiles` for this height and width.
        progress: called after each tile, which is all that such a decoder reports.
        config: sizes of the decoder.
        dtype: of the decoder's weights, "float32" or "bfloat16".
        device: where the decoder finds the latents, and where tiles are joined.
    Yields:
        [n, H, W, 3], not clamped, of `dtype`; n = 1 first, then `temporal_compression`.
    """
    scaled = to_vae_space(latents, config, dtype=DTYPES[dtype])
    tiles = cut_tiles(jax.device_put(scaled, device), grid)
    num_tiles = len(grid.rows) * len(grid.columns)
    decoded: list[list[Tile]] = []
    for row_index, row in enumerate(tiles):
        decoded.append([])
        for column_index, tile in enumerate(row):
            frames = jax.device_put(decode_tile(tile).astype(DTYPES[dtype]), device)
            decoded[-1].append(jax.block_until_ready(frames))
            progress(row_index * len(row) + column_index + 1, num_tiles, "tile")
    step_px = grid.step * config.spatial_compression
    blend_px = grid.tile_size * config.spatial_compression - step_px
    for index in range(latents.shape[1]):
        held = _frames_of(index, config.temporal_compression)
        yield join_tiles([[tile[:, held] for tile in row] for row in decoded], blend_px=blend_px, step_px=step_px)[0]


def _frames_of(index: int, temporal_compression: int) -> slice:
    """The frames that latent frame `index` holds."""
    end = index * temporal_compression + 1
    return slice(max(end - temporal_compression, 0), end)
