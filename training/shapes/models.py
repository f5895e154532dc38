"""Sizes of the tiny checkpoint's models, and how each is built with seeded random weights.

All classes are those of diffusers and transformers as they are. The text side lives in `text.py`.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

from stages.geometry import LATENT_CHANNELS, SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION
from training.shapes.sizes import USUAL_SIZE

TEXT_WIDTH = 64  # the language model's hidden size: what the DiT reads per prompt token
GLYPH_WIDTH = 16  # the glyph encoder's hidden size

NUM_HEADS, HEAD_SIZE = 4, 32
NUM_LAYERS = 4
ROPE_AXES = (8, 12, 12)  # time, height, width; sums to HEAD_SIZE
GLYPH_PROJECTION_WIDTH = 2048  # fixed inside HunyuanVideo15ByT5TextProjection


def build_vae(*, seed: int) -> AutoencoderKLHunyuanVideo15:
    """The autoencoder, random weights, float32."""
    torch.manual_seed(seed)
    vae: AutoencoderKLHunyuanVideo15 = AutoencoderKLHunyuanVideo15(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 16, 32, 32, 64),
        layers_per_block=0,
        spatial_compression_ratio=SPATIAL_COMPRESSION,
        temporal_compression_ratio=TEMPORAL_COMPRESSION,
        scaling_factor=1.0,
    )
    return vae


def build_dit(*, seed: int, num_layers: int = NUM_LAYERS) -> HunyuanVideo15Transformer3DModel:
    """The transformer, random weights, float32; its glyph projection starts from `tame_glyph_projection`."""
    torch.manual_seed(seed)
    dit: HunyuanVideo15Transformer3DModel = HunyuanVideo15Transformer3DModel(
        in_channels=2 * LATENT_CHANNELS + 1,  # latents, condition latents, condition mask
        out_channels=LATENT_CHANNELS,
        num_attention_heads=NUM_HEADS,
        attention_head_dim=HEAD_SIZE,
        num_layers=num_layers,
        num_refiner_layers=1,
        text_embed_dim=TEXT_WIDTH,
        text_embed_2_dim=GLYPH_WIDTH,
        image_embed_dim=16,
        rope_axes_dim=ROPE_AXES,
        target_size=USUAL_SIZE.height,
        task_type="t2v",
    )
    tame_glyph_projection(dit)
    return dit


@torch.no_grad()
def tame_glyph_projection(dit: HunyuanVideo15Transformer3DModel) -> None:
    """Set the 2048 x 2048 matrix of the glyph projection to the identity and freeze it.

    Its width is fixed by the model class, so it is 8 MiB of the folder whatever happens; as an identity it
    deflates to a few KiB in the wheel. The layers on both sides of it are trained.
    """
    linear = dit.context_embedder_2.linear_2
    linear.weight.copy_(torch.eye(GLYPH_PROJECTION_WIDTH))
    linear.bias.zero_()
    linear.requires_grad_(False)
