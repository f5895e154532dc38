"""The Flax VAE of the fork diffusers-tpu, where it is installed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.errors import CheckpointError
from tests.decode.builders import (
    DEVICE,
    SMALL,
    decode_here,
    edit_config,
    load_config,
    random_latents,
    vae_weights,
    write_vae,
)
from tests.fork import FLAX_VAE, NO_FORK

pytest.importorskip(FLAX_VAE, reason=NO_FORK)
from stages.diffusers_decode.flax_decoder import load_flax_decoder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Flax, for how the fork uses it
FILE = "diffusion_pytorch_model.safetensors"


def decode(folder: Path, latents: np.ndarray, *, is_framewise: bool = False, dtype: str = "float32") -> np.ndarray:
    """Frames, [f, h, w, 3], of latents, [1, c, f, h, w], whose scaling factor is 1."""
    config = load_config(folder)
    decode_tile = load_flax_decoder(vae_weights(folder), config, dtype=dtype, device=DEVICE, is_framewise=is_framewise)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # the fork promotes as it likes
        return np.asarray(decode_tile(jnp.moveaxis(jnp.asarray(latents, dtype), 1, -1))[0], np.float32)


@pytest.mark.parametrize("sizes", [SMALL, {}], ids=["small", "five up blocks"])
def test_its_whole_decode_is_the_native_one(tmp_path: Path, sizes: dict[str, object]):
    folder, latents = write_vae(tmp_path / "vae", **sizes, scaling_factor=1.0), random_latents(3, 2, 3)
    np.testing.assert_allclose(decode(folder, latents), decode_here(folder, latents), atol=1e-5)  # float32


def test_its_frame_by_frame_decode_is_the_native_one_for_the_first_frame_alone(tmp_path: Path):
    """Later latent frames do not attend to those before: the reason why it is not the default."""
    folder, latents = write_vae(tmp_path / "vae", **SMALL, scaling_factor=1.0), random_latents(3, 2, 3)
    exact = np.clip(decode_here(folder, latents), -1, 1)
    framewise = decode(folder, latents, is_framewise=True)
    assert framewise.shape == exact.shape
    np.testing.assert_allclose(framewise[0], exact[0], atol=1e-5)  # float32
    assert np.abs(framewise[1:] - exact[1:]).max() > 1e-3


def test_bfloat16_weights_are_close_to_float32(tmp_path: Path):
    folder, latents = write_vae(tmp_path / "vae", **SMALL, scaling_factor=1.0), random_latents(2, 2, 3)
    exact = decode(folder, latents)
    assert np.abs(decode(folder, latents, dtype="bfloat16") - exact).mean() < 0.02


def test_the_encoder_is_neither_needed_nor_read(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL)
    tensors = load_file(folder / FILE)
    save_file({name: value for name, value in tensors.items() if name.startswith("decoder.")}, folder / FILE)
    decode(folder, random_latents(1, 1, 1))


def test_a_config_of_another_decoder_is_reported(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL)
    edit_config(folder, layers_per_block=1)
    with pytest.raises(CheckpointError, match=r"missing: decoder\.up_blocks\.0\.resnets\.1\.conv1\.conv\.bias"):
        decode(folder, random_latents(1, 1, 1))
