"""Checkpoints with random weights for measurements: the built-in one's folder with another transformer and VAE."""

import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLHunyuanVideo15, HunyuanVideo15Transformer3DModel

import stages

BUILT_IN = Path(stages.__file__).parent / "models/builtin/shapes"


def write_checkpoint(folder: Path, *, vae_channels: tuple[int, ...]) -> None:
    """Write a checkpoint whose transformer has 8 blocks and 8 heads x 64 and takes the built-in text encoders' widths.

    Args:
        folder: does not exist yet.
        vae_channels: `block_out_channels` of the VAE, from the pixels' end to the latents'.
    """
    shutil.copytree(BUILT_IN, folder, ignore=shutil.ignore_patterns("diffusion_pytorch_model*"))
    torch.manual_seed(0)
    transformer = HunyuanVideo15Transformer3DModel(
        num_attention_heads=8,
        attention_head_dim=64,
        num_layers=8,
        num_refiner_layers=1,
        text_embed_dim=64,
        text_embed_2_dim=16,
        image_embed_dim=16,
        rope_axes_dim=(16, 24, 24),
        task_type="t2v",
    )
    transformer.save_pretrained(folder / "transformer")
    AutoencoderKLHunyuanVideo15(block_out_channels=vae_channels).save_pretrained(folder / "vae")
