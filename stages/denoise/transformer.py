"""The forward pass of the DiT on one chip of a mesh: latents, text and a timestep become this chip's velocity.

Owns the order of the parts, the batch and the tokens; each part is diffusers' module, run by torch_bridge.py. What
chips send each other is in collectives.py.
"""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float

from stages.denoise import torch_bridge
from stages.denoise.attention.kernels import Kernel
from stages.denoise.config import TransformerConfig
from stages.denoise.sharding.collectives import (
    attend_across,
    collect_weights,
    gather_channels,
    local_tokens,
    sum_over_heads,
)
from stages.denoise.sharding.layouts import MODULATIONS, OUTPUT_MODULATION, ROW_PARALLEL, Layout
from stages.denoise.text_tokens import TextTokens
from stages.denoise.torch_bridge import BLOCK, Surroundings
from stages.denoise.weights import DiTWeights, part, weight_layouts

_PROMPT_TYPE, _GLYPH_TYPE = 0, 1  # rows of `cond_type_embed`


def predict_velocity(
    weights: DiTWeights[Array],
    latents: Float[Array, "1 c f h w"],
    text: TextTokens[Array],
    timestep: Float[Array, "1"],
    rotary: tuple[Float[Array, "part d"], Float[Array, "part d"]],
    *,
    config: TransformerConfig,
    kernel: Kernel,
    mesh: Mesh,
) -> Float[Array, "b part c"]:
    """Velocity of this chip's video tokens under each of its texts. For the inside of `jax.shard_map` over `mesh`.

    Args:
        weights: this chip's parts, in the model dtype.
        latents: [1, c, f, h, w] (axes of the store, which diffusers' module shares), model dtype, DiT space; whole.
        text: the texts of this chip's branches of guidance, b entries, model dtype.
        timestep: [1], model dtype, 0 .. 1000; rounded to that dtype as diffusers' pipeline does it.
        rotary: cosines and sines of this chip's video tokens, [t, d], float32, where t is `num_places` of
            f * h * w tokens / p, for p chips in `sequence`.
        config: of the checkpoint.
        kernel: attention of video and text tokens of some heads.
        mesh: which chips work together.
    Returns:
        [b, t, c], model dtype: noise minus clean latents.
    Source:
        `HunyuanVideo15Transformer3DModel.forward` of diffusers, without masked tokens: attention does not depend on
        the order of keys, and text has no rotary embedding, so that leaving them out changes nothing.
    """
    num_video_tokens = latents[0, 0].size
    attend = partial(attend_across, attention=kernel.attend, num_video_tokens=num_video_tokens, mesh=mesh)
    module = torch_bridge.build_module(config, Surroundings(attend, kernel.prepare, _after(mesh)))
    block_layouts, rest_layouts = weight_layouts(config, mesh)
    rest = partial(_collect_part, weights.rest, rest_layouts, mesh)

    def run(name: str, *arguments: Array) -> Array:
        result: Array = torch_bridge.call(module, name, rest(name), *arguments)
        return result

    def run_block(tokens: tuple[Array, Array], block: dict[str, Array]) -> tuple[tuple[Array, Array], None]:
        collected = collect_weights(block, block_layouts, mesh=mesh)
        return torch_bridge.call(module, BLOCK, collected, *tokens, time_embeds, text_mask, rotary), None

    time_embeds = run("time_embed", timestep)
    tokens, text_mask = _embed_text(text, timestep, run, types=rest("cond_type_embed")["weight"])
    video = run("x_embedder", _as_one_frame(local_tokens(_as_tokens(latents, config.in_channels), mesh=mesh)))
    video = jnp.broadcast_to(video, (tokens.shape[0], *video.shape[1:]))
    (video, _), _ = jax.lax.scan(run_block, (video, local_tokens(tokens, mesh=mesh)), dict(weights.blocks))
    return run("proj_out", run("norm_out", video, time_embeds))


def _after(mesh: Mesh) -> dict[str, Callable[[Array], Array]]:
    """What chips do after layers of which each has its part."""
    gather, total = partial(gather_channels, mesh=mesh), partial(sum_over_heads, mesh=mesh)
    return {
        OUTPUT_MODULATION: gather,
        **{f"{BLOCK}.{name}": gather for name in MODULATIONS},
        **{f"{BLOCK}.{name}": total for name in ROW_PARALLEL},
    }


def _collect_part(
    weights: Mapping[str, Array], layouts: Mapping[str, Layout], mesh: Mesh, name: str
) -> dict[str, Array]:
    return collect_weights(part(weights, name), part(layouts, name), mesh=mesh)


def _embed_text(
    text: TextTokens[Array], timestep: Float[Array, "1"], run: Callable[..., Array], *, types: Float[Array, "3 c"]
) -> tuple[Float[Array, "b l c"], Bool[Array, "b l"]]:
    """All text tokens of this chip's branches, and which of them exist; glyphs stand first, as in diffusers."""
    tokens = run("context_embedder", text.prompt, timestep, text.prompt_mask) + types[_PROMPT_TYPE]
    mask = text.prompt_mask
    if text.glyph.shape[1]:
        glyph = run("context_embedder_2", text.glyph) + types[_GLYPH_TYPE]
        tokens = jnp.concatenate([glyph, tokens], axis=1)
        mask = jnp.concatenate([text.glyph_mask, mask], axis=1)
    return tokens, mask


def _as_tokens(latents: Float[Array, "1 c f h w"], in_channels: int) -> Float[Array, "1 s c2"]:
    """Video tokens, with zeros in the channels of a given first frame and of its mask: text-to-video has none."""
    tokens = jnp.moveaxis(latents, 1, -1).reshape(1, -1, latents.shape[1])
    return jnp.pad(tokens, ((0, 0), (0, 0), (0, in_channels - tokens.shape[-1])))


def _as_one_frame(tokens: Float[Array, "1 t c"]) -> Float[Array, "1 c 1 1 t"]:
    """Tokens in the axes that the patch embedder wants. Its patches are single cells, so any frame will do."""
    return jnp.moveaxis(tokens, -1, 1)[:, :, None, None]
