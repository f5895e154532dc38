"""Diffusers' own decoder: the same frames as by its VAE, from the decoder's weights alone."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.diffusers_decode.torch_decoder import load_torch_decoder
from stages.errors import CheckpointError
from tests.decode.builders import SMALL, build_vae, decode_there, load_config, random_latents, vae_weights, write_vae

FILE = "diffusion_pytorch_model.safetensors"
SAME_CHANNELS = {"block_out_channels": (8, 16, 16, 64, 96), "layers_per_block": 0, "upsample_match_channel": False}


def decode(folder: Path, latents: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Frames, [f, h, w, 3], of latents, [1, c, f, h, w], whose scaling factor is 1."""
    decode_tile = load_torch_decoder(vae_weights(folder), load_config(folder), dtype=dtype)
    return np.asarray(decode_tile(jnp.moveaxis(jnp.asarray(latents), 1, -1))[0])


@pytest.mark.parametrize("sizes", [SMALL, SAME_CHANNELS])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_frames_equal_those_of_diffusers_vae_to_the_bit(tmp_path: Path, sizes: dict[str, object], dtype: str):
    vae = build_vae(**sizes, scaling_factor=1.0)
    vae.save_pretrained(tmp_path / "vae")
    latents = random_latents(3, 2, 3)
    expected = decode_there(vae.bfloat16() if dtype == "bfloat16" else vae, latents)
    np.testing.assert_array_equal(decode(tmp_path / "vae", latents, dtype), expected)


def test_the_encoder_is_neither_needed_nor_read(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL)
    tensors = load_file(folder / FILE)
    save_file({name: value for name, value in tensors.items() if name.startswith("decoder.")}, folder / FILE)
    decode(folder, random_latents(1, 1, 1))


def test_weights_that_do_not_fit_are_reported(tmp_path: Path):
    folder = write_vae(tmp_path / "vae", **SMALL)
    tensors = load_file(folder / FILE)
    del tensors["decoder.norm_out.gamma"]
    save_file(tensors, folder / FILE)
    with pytest.raises(CheckpointError, match=r"1 missing: decoder\.norm_out\.gamma"):
        decode(folder, random_latents(1, 1, 1))
