"""The Flax VAE of diffusers-tpu, a fork of diffusers: `decode.decoder = "diffusers-tpu"` and its frame-by-frame twin.

Owns the names and axes of the fork's parameters. None of its code is here: the class comes from what is installed, and
importing this module fails where it is not (edge.py says what to do then). docs/diffusers-tpu.md has
figures.
"""

from typing import Any

import jax
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15_flax import (
    FlaxAutoencoderKLHunyuanVideo15,
    FlaxAutoencoderKLHunyuanVideo15Config,
)
from flax import nnx
from jaxtyping import Array, Float

from stages.decode.config import DecoderConfig
from stages.decode.weights import find_weights
from stages.diffusers_decode.whole import DecodeTile
from stages.tensors.dtypes import DTYPES
from stages.tensors.weight_files import WeightFiles


def load_flax_decoder(
    files: WeightFiles, config: DecoderConfig, *, dtype: str, device: jax.Device, is_framewise: bool
) -> DecodeTile:
    """Load the fork's VAE, tensor by tensor; its encoder stays without weights.

    Args:
        files: the component `vae`.
        config: sizes, from its `config.json`.
        dtype: "float32" or "bfloat16", of the weights; the fork computes in what JAX makes of it.
        device: where the arrays are put.
        is_framewise: by the fork's `decode()`, which takes latent frame by latent frame, attends inside one frame
            only (so the result is another one) and clamps to [-1, 1]; else all at once by its decoder.
    Returns:
        A function of [1, f, h, w, c], latents in VAE space, that gives [1, F, H, W, 3], of any float dtype.
    Raises:
        CheckpointError: names and shapes other than the config's; all faults at once.
    """
    specs = find_weights(files, config)
    vae = nnx.eval_shape(lambda: FlaxAutoencoderKLHunyuanVideo15(_fork_config(config), nnx.Rngs(0)))
    for spec in jax.tree.leaves(specs):
        values = files.read(spec.name).astype(DTYPES[dtype], copy=False).transpose(spec.axes)
        parameter = _find_parameter(vae, spec.name)
        # the axes are in the fork's order; it keeps those of size 1 in kernels, and not in the norms' gains
        parameter.value = jax.device_put(values.reshape(parameter.value.shape), device)

    def decode_tile(latents: Float[Array, "1 f h w c"]) -> Float[Array, "1 f_px h_px w_px rgb"]:
        frames: Array = vae.decode(latents) if is_framewise else vae.decoder(latents)
        return frames

    return decode_tile


def _find_parameter(vae: nnx.Module, name: str) -> Any:
    """The fork's parameter for one of diffusers' names: each convolution is wrapped once more, its weight a kernel."""
    *places, leaf = name.split(".")
    if leaf in ("weight", "bias"):
        places.append("conv")
    node: Any = vae
    for place in places:
        node = node[int(place)] if place.isdigit() else getattr(node, place)
    return getattr(node, "kernel" if leaf == "weight" else leaf)


def _fork_config(config: DecoderConfig) -> FlaxAutoencoderKLHunyuanVideo15Config:
    return FlaxAutoencoderKLHunyuanVideo15Config(
        out_channels=config.out_channels,
        latent_channels=config.latent_channels,
        block_out_channels=tuple(reversed(config.block_channels)),
        layers_per_block=config.num_resnets - 1,
        spatial_compression_ratio=config.spatial_compression,
        temporal_compression_ratio=config.temporal_compression,
        upsample_match_channel=config.upsample_match_channel,
        scaling_factor=config.scaling_factor,
    )
