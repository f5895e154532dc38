"""A video, latent frame by latent frame."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from stages.decode.stream import decode_video, to_stored
from stages.decode.tiling import one_tile, plan_tiles
from stages.decode.weights import load_config, load_weights
from tests.decode.builders import DEVICE, SMALL, decode_here, edit_config, random_latents, write_vae


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("toy") / "vae", **SMALL)


def test_latents_are_divided_by_the_scaling_factor_once(folder: Path):
    edit_config(folder, scaling_factor=1.0)
    plain = decode_here(folder, random_latents(2, 2, 3) / np.float32(0.5))
    edit_config(folder, scaling_factor=0.5)
    np.testing.assert_array_equal(decode_here(folder, random_latents(2, 2, 3)), plain)


def test_bfloat16_is_as_close_as_its_eight_bits_allow(folder: Path):
    exact = decode_here(folder, random_latents(2, 2, 3))
    rounded = decode_here(folder, random_latents(2, 2, 3), dtype="bfloat16")
    # every layer rounds to 8 bits, 2^-9 of its values each; a dozen layers in a row add up
    assert np.abs(rounded - exact).mean() < 12 * 2**-9 * np.abs(exact).mean()


def test_each_latent_frame_is_given_out_on_its_own(folder: Path):
    config = load_config(folder)
    weights = load_weights(folder, config, dtype="float32", device=DEVICE)
    latents = jnp.moveaxis(jnp.asarray(random_latents(2, 2, 3)), 1, -1)
    pieces = decode_video(weights, latents, config=config, grid=one_tile(2, 3), device=DEVICE)
    assert next(pieces).shape == (1, 8, 12, 3)
    assert next(pieces).shape == (4, 8, 12, 3)
    assert next(pieces, None) is None


def test_a_grid_of_one_tile_changes_no_bit(folder: Path):
    latents = random_latents(2, 2, 3)
    grid = plan_tiles(2, 3, tile_size_px=12, tile_overlap=0.25, spatial_compression=4)
    np.testing.assert_array_equal(decode_here(folder, latents, grid=grid), decode_here(folder, latents))


def test_stored_frames_are_clamped_and_bfloat16():
    stored = to_stored(jnp.array([-3.0, -1.0, 0.1, 1.0, 7.0]).reshape(1, 1, 5, 1))
    assert stored.dtype == jnp.bfloat16
    assert stored.astype(jnp.float32).ravel().tolist() == [-1.0, -1.0, 0.10009765625, 1.0, 1.0]
