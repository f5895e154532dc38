"""A toy DiT with random weights, and toy prompts for it."""

import functools
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import torch
from diffusers import HunyuanVideo15Transformer3DModel

from stages.denoise.attention.normed_rotation import norm_and_rotate
from stages.denoise.attention.parts import attend_jointly
from stages.denoise.attention.plain import plain_attention
from stages.denoise.config import TransformerConfig, as_arguments
from stages.denoise.sharding.collectives import attend_across
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.text_tokens import PromptEmbeds
from stages.denoise.torch_bridge import Surroundings
from stages.denoise.weights import DiTWeights, load_weights
from stages.geometry import LatentSize
from stages.pipeline.denoise import TRANSFORMER
from stages.tensors.weight_files import WeightFiles
from tests.components import weights_of

TOY = TransformerConfig(
    num_attention_heads=2,
    attention_head_dim=12,
    num_layers=3,
    num_refiner_layers=2,
    text_embed_dim=20,
    text_embed_2_dim=10,
    image_embed_dim=6,
    rope_axes_dim=(4, 4, 4),
)
EIGHT_HEADS = replace(TOY, num_attention_heads=8)
TOY_SIZE = LatentSize(2, 3, 5)
MESH = build_mesh("1x1x1", jax.devices(), num_heads=TOY.num_attention_heads, is_guided=True)
_PLAIN = functools.partial(attend_jointly, attention=plain_attention)
ALONE = Surroundings(  # of one device, for TOY_SIZE
    functools.partial(attend_across, attention=_PLAIN, num_video_tokens=TOY_SIZE.num_cells, mesh=MESH),
    norm_and_rotate,
    after={},
)


def build_torch_module(config: TransformerConfig = TOY) -> HunyuanVideo15Transformer3DModel:
    """Diffusers' own module with random weights; the norms' weights are random too, so that none is lost unseen."""
    torch.manual_seed(0)
    module = HunyuanVideo15Transformer3DModel(**as_arguments(config)).eval()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim == 1:
                weight.add_(torch.randn_like(weight), alpha=0.1)
    return module


def write_checkpoint(folder: Path, config: TransformerConfig = TOY, *, max_shard_size: str = "1GB") -> Path:
    """A transformer's folder, as diffusers writes it."""
    build_torch_module(config).save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def dit_weights(folder: Path) -> WeightFiles:
    """Weights of a transformer's folder."""
    return weights_of(folder, TRANSFORMER)


def load(folder: Path, config: TransformerConfig = TOY, *, dtype: str = "float32") -> DiTWeights:
    """Its weights, on one device."""
    return load_weights(dit_weights(folder), config, dtype=dtype, mesh=MESH)


def build_prompt(
    num_tokens: int, num_glyphs: int = 0, *, seed: int = 0, config: TransformerConfig = TOY
) -> PromptEmbeds:
    """Random embeddings with valid tokens at the start of the language model's and at the end of ByT5's."""
    random = np.random.default_rng(seed)
    length, glyph_length = 12, 8
    positions, glyph_positions = np.arange(length), np.arange(glyph_length)
    return PromptEmbeds(
        prompt_embeds=random.normal(size=(1, length, config.text_embed_dim)).astype(np.float32),
        prompt_embeds_mask=(positions < num_tokens).astype(np.float32)[None],
        prompt_embeds_2=random.normal(size=(1, glyph_length, config.text_embed_2_dim)).astype(np.float32),
        prompt_embeds_mask_2=(glyph_positions >= glyph_length - num_glyphs).astype(np.float32)[None],
    )
