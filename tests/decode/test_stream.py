"""A video, latent frame by latent frame."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stages.decode.forward import decode_chunk, initial_state
from stages.decode.stream import decode_video, finish, to_stored, to_vae_space
from stages.decode.tiling import one_tile
from stages.decode.weights import load_weights
from stages.errors import StageError
from tests.decode.builders import (
    DEVICE,
    SMALL,
    compile_here,
    decode_here,
    edit_config,
    load_config,
    random_latents,
    vae_weights,
    write_vae,
)

pytestmark = pytest.mark.compiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("toy") / "vae", **SMALL)


def test_latents_are_divided_by_the_scaling_factor_once(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL, scaling_factor=1.0)
    plain = decode_here(folder, random_latents(2, 2, 3) / np.float32(0.5))
    edit_config(folder, scaling_factor=0.5)
    np.testing.assert_array_equal(decode_here(folder, random_latents(2, 2, 3)), plain)


def test_each_latent_frame_is_given_out_on_its_own(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    latents = jnp.moveaxis(jnp.asarray(random_latents(2, 2, 3)), 1, -1)
    grid = one_tile(2, 3)
    programs = compile_here(config, latents, grid)
    pieces = decode_video(weights, latents, config=config, grid=grid, devices=[DEVICE], programs=programs)
    assert next(pieces).shape == (1, 8, 12, 3)
    assert next(pieces).shape == (4, 8, 12, 3)
    assert next(pieces, None) is None


def test_one_tile_changes_no_bit_of_the_decoders_frames(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=[DEVICE])
    latents = random_latents(2, 2, 3)
    scaled = jnp.asarray(np.moveaxis(latents, 1, -1) / np.float32(config.scaling_factor))
    (programs,) = compile_here(config, scaled, one_tile(2, 3)).values()
    _, frames = decode_chunk(weights, initial_state(2), scaled, programs=programs)
    np.testing.assert_array_equal(decode_here(folder, latents), frames[0])


def test_stored_frames_are_clamped_and_bfloat16():
    stored = to_stored(jnp.array([-3.0, -1.0, 0.1, 1.0, 7.0]).reshape(1, 1, 5, 1))
    assert stored.dtype == jnp.bfloat16
    assert stored.astype(jnp.float32).ravel().tolist() == [-1.0, -1.0, 0.10009765625, 1.0, 1.0]


def test_finished_frames_are_numpys_and_come_as_the_pieces_do():
    pieces = finish(iter([jnp.full((1, 2, 2, 3), 7.0), jnp.full((4, 2, 2, 3), -7.0)]), dtype="", checkpoint=Path())
    first = next(pieces)
    assert isinstance(first, np.ndarray)
    assert (first.dtype, first.max()) == (jnp.bfloat16, 1)
    assert next(pieces).shape == (4, 2, 2, 3)


def test_frames_that_are_not_finite_are_refused_with_their_place():
    decoded = iter([jnp.ones((1, 2, 2, 3)), jnp.full((4, 2, 2, 3), jnp.nan)])
    pieces = finish(decoded, dtype="bfloat16", checkpoint=Path("vae"))
    next(pieces)
    with pytest.raises(StageError) as caught:
        next(pieces)
    assert str(caught.value) == (
        "frames of latent frame 1: 48 of 48 values are not finite; vae made them in bfloat16. "
        'Set decode.dtype = "float32", or use another checkpoint in params/model.toml.'
    )


def test_latents_are_divided_as_torch_does_it_to_the_bit(folder: Path):
    latents = random_latents(2, 8, 8)
    config = load_config(folder)
    divided = to_vae_space(jnp.moveaxis(latents, 1, -1), config, dtype=np.float32)
    expected = torch.from_numpy(latents) / config.scaling_factor
    np.testing.assert_array_equal(np.moveaxis(divided, -1, 1), expected.numpy())
