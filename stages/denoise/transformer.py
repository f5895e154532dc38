"""The forward pass of the DiT: latents, text and a timestep become a velocity.

Owns the order of the parts and the batch; each part is diffusers' module, run by torch_bridge.py.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stages.denoise import torch_bridge
from stages.denoise.attention import Attention
from stages.denoise.config import TransformerConfig
from stages.denoise.text_tokens import TextTokens
from stages.denoise.weights import DiTWeights, part

_PROMPT_TYPE, _GLYPH_TYPE = 0, 1  # rows of `cond_type_embed`


def predict_velocity(
    weights: DiTWeights,
    latents: Float[Array, "1 c f h w"],
    text: TextTokens,
    timestep: Float[Array, "1"],
    rotary: tuple[Float[Array, "s d"], Float[Array, "s d"]],
    *,
    config: TransformerConfig,
    attention: Attention,
) -> Float[Array, "b c f h w"]:
    """Velocity of one video under each of the batch's texts.

    Args:
        weights: in the model dtype.
        latents: [1, c, f, h, w] (axes of the store, which diffusers' module shares), model dtype, DiT space.
        text: b entries (cond, or cond and uncond), model dtype.
        timestep: [1], model dtype, 0 .. 1000; rounded to that dtype as diffusers' pipeline does it.
        rotary: cosines and sines, [s, d], float32, s = f * h * w.
        config: of the checkpoint.
        attention: joint attention of video and text.
    Returns:
        [b, c, f, h, w], model dtype: noise minus clean latents.
    Source:
        `HunyuanVideo15Transformer3DModel.forward` of diffusers, without masked tokens: attention does not depend on
        the order of keys, and text has no rotary embedding, so that leaving them out changes nothing.
    """
    module = torch_bridge.build_module(config, attention)

    def run(name: str, *arguments: Array) -> Array:
        result: Array = torch_bridge.call(module, name, part(weights.rest, name), *arguments)
        return result

    time_embeds = run("time_embed", timestep)
    prompt = run("context_embedder", text.prompt, timestep, text.prompt_mask)
    types = weights.rest["cond_type_embed.weight"]
    tokens, text_mask = prompt + types[_PROMPT_TYPE], text.prompt_mask
    if text.glyph.shape[1]:
        glyph = run("context_embedder_2", text.glyph) + types[_GLYPH_TYPE]
        tokens = jnp.concatenate([glyph, tokens], axis=1)
        text_mask = jnp.concatenate([text.glyph_mask, text_mask], axis=1)
    video = run("x_embedder", _with_empty_condition(latents, config.in_channels))
    video = jnp.broadcast_to(video, (tokens.shape[0], *video.shape[1:]))

    def run_block(tokens: tuple[Array, Array], block: dict[str, Array]) -> tuple[tuple[Array, Array], None]:
        arguments = (*tokens, time_embeds, text_mask, rotary)
        return torch_bridge.call(module, torch_bridge.BLOCK, block, *arguments), None

    (video, _), _ = jax.lax.scan(run_block, (video, tokens), dict(weights.blocks))
    video = run("proj_out", run("norm_out", video, time_embeds))
    return jnp.moveaxis(video.reshape(-1, *latents.shape[2:], config.out_channels), -1, 1)


def _with_empty_condition(latents: Float[Array, "1 c f h w"], in_channels: int) -> Float[Array, "1 c2 f h w"]:
    """Latents with zeros in the channels of a given first frame and of its mask: text-to-video has none."""
    return jnp.pad(latents, ((0, 0), (0, in_channels - latents.shape[1]), (0, 0), (0, 0), (0, 0)))
