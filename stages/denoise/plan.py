"""The denoise step as a program that can be compiled before there are weights, a prompt or a TPU."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import DTypeLike

from stages.denoise import torch_bridge
from stages.denoise.config import TransformerConfig
from stages.denoise.mesh import sharding
from stages.denoise.sampling import denoise_step
from stages.denoise.text_tokens import TextTokens
from stages.denoise.weights import DiTWeights
from stages.executables import Program
from stages.geometry import LatentSize

_UNUSED = "image_embedder."


@dataclass(frozen=True)
class StepPlan:
    """All that decides the program of a denoise step, besides the mesh."""

    config: TransformerConfig
    size: LatentSize
    num_prompt_tokens: int
    num_glyph_tokens: int
    is_guided: bool
    dtype: str
    window_size: int


def lower_step(plan: StepPlan, mesh: Mesh) -> Program:
    """The step on `mesh`, whose devices may be those of a topology."""

    def array(*shape: int, dtype: DTypeLike = plan.dtype) -> Any:  # stands for an array
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding(mesh))

    config, batch = plan.config, 2 if plan.is_guided else 1
    block, rest = torch_bridge.weight_shapes(config)
    weights = DiTWeights(
        blocks={name: array(config.num_layers, *shape) for name, shape in block.items()},
        rest={name: array(*shape) for name, shape in rest.items() if not name.startswith(_UNUSED)},
    )
    text = TextTokens(
        prompt=array(batch, plan.num_prompt_tokens, config.text_embed_dim),
        prompt_mask=array(batch, plan.num_prompt_tokens, dtype=bool),
        glyph=array(batch, plan.num_glyph_tokens, config.text_embed_2_dim),
        glyph_mask=array(batch, plan.num_glyph_tokens, dtype=bool),
    )
    num_video = plan.size.num_frames * plan.size.height * plan.size.width
    angles = array(num_video, config.attention_head_dim, dtype=jnp.float32)
    latents = array(*plan.size.shape)
    lowered = denoise_step.lower(
        weights,
        latents,
        text,
        (angles, angles),
        timestep=array(1),
        sigma_change=array(dtype=jnp.float32),
        guidance_scale=array(dtype=jnp.float32),
        config=config,
        window_size=plan.window_size,
    )
    return Program("denoise step", lowered, weights=weights, state=latents)


def step_flops(plan: StepPlan) -> float:
    """Floating-point operations that a step cannot do without: products of matrices in the blocks, for all tokens."""
    config = plan.config
    width = config.num_attention_heads * config.attention_head_dim
    num_video = plan.size.num_frames * plan.size.height * plan.size.width
    num_tokens = num_video + plan.num_prompt_tokens + plan.num_glyph_tokens
    projections = 2 * (4 + 2 * config.mlp_ratio) * width**2 * num_tokens
    attention = 4 * num_tokens**2 * width
    return (2 if plan.is_guided else 1) * config.num_layers * (projections + attention)
