"""Tiles of a frame: where they lie and how their edges are blended, as diffusers' `tiled_decode` does it.

Owns the geometry and the blending; decoding the tiles is left to stream.py.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LatentTile = Float[Array, "b f _ _ c"]  # tiles of one frame differ in height and width
Tile = Float[Array, "b f_px _ _ rgb"]
HEIGHT_AXIS, WIDTH_AXIS = 2, 3  # of a Tile


@dataclass(frozen=True)
class TileGrid:
    """Square tiles over a frame, in latent cells; those at the lower and right edge may be smaller.

    A tile starts every `step` cells and blends over its first `tile_size - step` cells with its neighbours.
    """

    tile_size: int
    step: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Tiling:
    """How frames are decoded in tiles.

    Attributes:
        tile_size: height and width of a tile, pixels, a multiple of 16.
        tile_overlap: share of a tile that overlaps the next, 0 to 0.5.
    """

    tile_size: int = 256
    tile_overlap: float = 0.25

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "Tiling | None":
        """What the parameters of decode ask for; None where `enable_tiling` is false."""
        if not parameters["enable_tiling"]:
            return None
        return cls(parameters["tile_size"], parameters["tile_overlap"])


def choose_grid(height: int, width: int, tiling: Tiling | None, *, spatial_compression: int) -> TileGrid:
    """The grid of a frame, [height, width] latent cells; one tile where there is no tiling.

    Args:
        height, width, spatial_compression: as in `plan_tiles`.
        tiling: None to decode frames whole.
    """
    if tiling is None:
        return one_tile(height, width)
    return plan_tiles(
        height,
        width,
        tile_size_px=tiling.tile_size,
        tile_overlap=tiling.tile_overlap,
        spatial_compression=spatial_compression,
    )


def one_tile(height: int, width: int) -> TileGrid:
    """The grid of a frame, [height, width] latent cells, that is decoded whole."""
    size = max(height, width)
    return TileGrid(tile_size=size, step=size, rows=(0,), columns=(0,))


def plan_tiles(
    height: int, width: int, *, tile_size_px: int, tile_overlap: float, spatial_compression: int
) -> TileGrid:
    """Lay tiles over a frame; one tile when the frame is larger than a tile in neither direction.

    Args:
        height: of the frame, latent cells.
        width: of the frame, latent cells.
        tile_size_px: height and width of a tile, pixels, a multiple of `spatial_compression`.
        tile_overlap: share of a tile that overlaps the next, 0 to 0.5.
        spatial_compression: pixels per latent cell.
    Source:
        `AutoencoderKLHunyuanVideo15.tiled_decode` of diffusers 0.42, with one difference: there the pixels that
        are blended and kept follow only from the overlap, and where the overlap is no whole number of cells
        (32 px and 0.25: half a cell) the frames come out too large. Here they follow from the step in cells.
    """
    tile_size = tile_size_px // spatial_compression
    if height <= tile_size and width <= tile_size:
        return one_tile(height, width)
    step = max(int(tile_size * (1 - tile_overlap)), 1)
    return TileGrid(
        tile_size=tile_size, step=step, rows=tuple(range(0, height, step)), columns=tuple(range(0, width, step))
    )


def count_tiles(height: int, width: int, grid: TileGrid) -> Counter[tuple[int, int]]:
    """How many of the grid's tiles of a frame, [height, width] latent cells, have which height and width."""
    return Counter(
        (min(grid.tile_size, height - y), min(grid.tile_size, width - x)) for y in grid.rows for x in grid.columns
    )


def cut_tiles(latents: Float[Array, "b f h w c"], grid: TileGrid) -> list[list[LatentTile]]:
    """The grid's tiles of the latents, [b, f, h, w, c], row by row."""
    size = grid.tile_size
    return [[latents[:, :, y : y + size, x : x + size] for x in grid.columns] for y in grid.rows]


@partial(jax.jit, static_argnames=("blend_px", "step_px"))
def join_tiles(tiles: list[list[Tile]], *, blend_px: int, step_px: int) -> Float[Array, "b f_px h_px w_px rgb"]:
    """Blend decoded tiles with those above and to the left, and put them together.

    Args:
        tiles: row by row, each [b, f, h, w, 3]; all but the last of a row or column are blend_px + step_px high
            and wide, or reach the frame's edge.
        blend_px: rows or columns over which a tile fades in.
        step_px: rows and columns that a tile contributes.
    Returns:
        [b, f, H, W, 3], in the dtype of the tiles.
    Source:
        diffusers blends in place: a tile meets neighbours that are themselves blended, above before left.
    """
    strips = []
    above: list[Tile] = []
    for row in tiles:
        blended: list[Tile] = []
        for column, tile in enumerate(row):
            faded = blend(above[column], tile, blend_px, axis=HEIGHT_AXIS) if above else tile
            blended.append(blend(blended[-1], faded, blend_px, axis=WIDTH_AXIS) if blended else faded)
        strips.append(jnp.concatenate([tile[:, :, :step_px, :step_px] for tile in blended], axis=WIDTH_AXIS))
        above = blended
    return jnp.concatenate(strips, axis=HEIGHT_AXIS)


def blend(before: Tile, after: Tile, blend_px: int, *, axis: int) -> Tile:
    """Fade from the end of `before` to the start of `after`, linearly over at most `blend_px` along `axis`.

    Returns:
        `after` with its start mixed; the first row or column is all `before`. Sums are float32.
    """
    extent = min(before.shape[axis], after.shape[axis], blend_px)
    start, rest = jnp.split(after, [extent], axis=axis)
    end = jax.lax.slice_in_dim(before, before.shape[axis] - extent, None, axis=axis)
    shape = [1] * after.ndim
    shape[axis] = extent
    share = (jnp.arange(extent, dtype=jnp.float32) / max(extent, 1)).reshape(shape)
    mixed = end.astype(jnp.float32) * (1 - share) + start.astype(jnp.float32) * share
    return jnp.concatenate([mixed.astype(after.dtype), rest], axis=axis)
