"""The decoder of the installed diffusers, in torch on the CPU: `decode.decoder = "diffusers"`.

Owns the conversion of weights and arrays to torch and back. The module sees all latent frames of a tile at once, and
its attention all pairs of their cells: memory grows with the square of the video's length.
"""

import jax
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15Decoder3D
from jaxtyping import Array, Float

from stages.decode.config import PREFIX, DecoderConfig
from stages.decode.weights import find_weights
from stages.diffusers_decode.whole import DecodeTile
from stages.tensors.weight_files import WeightFiles

_TORCH_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def load_torch_decoder(files: WeightFiles, config: DecoderConfig, *, dtype: str) -> DecodeTile:
    """Load diffusers' module, tensor by tensor; only the decoder of the VAE.

    Args:
        files: the component `vae`.
        config: sizes, from its `config.json`.
        dtype: "float32" or "bfloat16", of weights and arithmetic.
    Returns:
        A function of [1, f, h, w, c], latents in VAE space, that gives [1, F, H, W, 3], float32, not clamped.
    Raises:
        CheckpointError: names and shapes other than the config's; all faults at once.
    """
    specs = find_weights(files, config)
    with torch.device("meta"):
        module = HunyuanVideo15Decoder3D(
            in_channels=config.latent_channels,
            out_channels=config.out_channels,
            block_out_channels=config.block_channels,
            layers_per_block=config.num_resnets - 1,
            spatial_compression_ratio=config.spatial_compression,
            temporal_compression_ratio=config.temporal_compression,
            upsample_match_channel=config.upsample_match_channel,
        )
    names = [spec.name for spec in jax.tree.leaves(specs)]
    weights = {name.removeprefix(PREFIX): _to_torch(files.read(name), dtype) for name in names}
    module.load_state_dict(weights, assign=True)
    module.eval()

    def decode_tile(latents: Float[Array, "1 f h w c"]) -> Float[np.ndarray, "1 f_px h_px w_px rgb"]:
        with torch.inference_mode():
            frames = module(_to_torch(np.moveaxis(np.asarray(latents), -1, 1), dtype))
        return np.asarray(frames.movedim(1, -1).float())

    return decode_tile


def _to_torch(values: np.ndarray, dtype: str) -> torch.Tensor:
    """An array as a tensor of its own; through float32, which holds both dtypes: torch does not know ml_dtypes."""
    return torch.from_numpy(np.array(values, np.float32, order="C")).to(_TORCH_DTYPES[dtype])
