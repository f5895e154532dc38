"""All latent frames at once, tile by tile, with a decoder that can be followed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from stages.decode.config import DecoderConfig
from stages.decode.tiling import LatentTile, Tile, TileGrid, one_tile, plan_tiles
from stages.diffusers_decode.whole import decode_whole
from tests.decode.builders import DEVICE, SMALL, load_config, write_vae

pytestmark = pytest.mark.compiles

CELL_PX, CHUNK = 4, 4  # of SMALL: pixels per cell, frames per latent frame but the first


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DecoderConfig:
    return load_config(write_vae(tmp_path_factory.mktemp("toy") / "vae", **SMALL, scaling_factor=0.5))


def repeat_cells(latents: LatentTile) -> Tile:
    """The first three channels, each latent frame and cell as often as the VAE has pixels for it."""
    first, rest = jnp.split(latents[..., :3], [1], axis=1)
    frames = jnp.concatenate([first, jnp.repeat(rest, CHUNK, axis=1)], axis=1)
    return jnp.repeat(jnp.repeat(frames, CELL_PX, axis=2), CELL_PX, axis=3)


def decode(config: DecoderConfig, grid: TileGrid, *, dtype: str = "float32") -> tuple[list[np.ndarray], list[object]]:
    """The pieces of 3 latent frames of 3 x 2 cells, and what was counted as progress."""
    cells = jnp.arange(18, dtype=jnp.float32).reshape(1, 3, 3, 2, 1)
    counted: list[object] = []
    pieces = decode_whole(
        repeat_cells,
        jnp.broadcast_to(cells, (1, 3, 3, 2, 32)),
        grid,
        lambda *progress: counted.append(progress),
        config=config,
        dtype=dtype,
        device=DEVICE,
    )
    return [np.asarray(piece) for piece in pieces], counted


def test_each_latent_frame_is_given_out_on_its_own_and_divided_by_the_scaling_factor(config: DecoderConfig):
    pieces, counted = decode(config, one_tile(3, 2))
    assert [piece.shape for piece in pieces] == [(1, 12, 8, 3), (4, 12, 8, 3), (4, 12, 8, 3)]
    assert [sorted(set(piece[:, 0, 0, 0].tolist())) for piece in pieces] == [[0.0], [12.0], [24.0]]
    assert counted == [(1, 1, "tile")]


def test_tiles_are_joined_and_counted_one_by_one(config: DecoderConfig):
    whole, _ = decode(config, one_tile(3, 2))
    grid = plan_tiles(3, 2, tile_size_px=CELL_PX, tile_overlap=0.0, spatial_compression=CELL_PX)
    tiled, counted = decode(config, grid)
    assert counted == [(done, 6, "tile") for done in range(1, 7)]
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_have_the_dtype_that_was_asked_for(config: DecoderConfig):
    pieces, _ = decode(config, one_tile(3, 2), dtype="bfloat16")
    assert {str(piece.dtype) for piece in pieces} == {"bfloat16"}
