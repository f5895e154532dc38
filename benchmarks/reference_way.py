"""The denoise step's blocks as the scripts have them that this project replaces: for comparison, compiled only.

Two blocks, one after the other in the program; hidden channels over all chips (tensor parallel); attention with a mask
of all tokens by all tokens, which keeps all scores; padded text and the empty image tokens in the sequence.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.normed_rotation import norm_and_rotate
from stages.denoise.attention.parts import Heads
from stages.denoise.config import TransformerConfig
from stages.denoise.torch_bridge import BLOCK, Surroundings, build_module, call, weight_shapes
from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS, LatentSize

NUM_BLOCKS = 2
NUM_TEXT = MAX_PROMPT_TOKENS + MAX_GLYPH_TOKENS + 729  # the last are the image tokens of text-to-video: all masked
_NUM_BRANCHES = 1  # cond and uncond run one after the other there
_AXIS = "heads"
_COLUMNS = ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj", "proj")
_ROWS = ("to_out.0", "to_add_out", "net.2")


def lower_blocks(size: LatentSize, devices: Any) -> jax.stages.Lowered:
    """Blocks of one branch of guidance for latents of a size, with the widths of the real model, in bfloat16."""
    config = TransformerConfig()
    mesh = Mesh(np.array(devices), (_AXIS,))
    spread = partial(NamedSharding, mesh)
    shapes, _ = weight_shapes(config)
    block = {
        name: jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=spread(_spec(name))) for name, shape in shapes.items()
    }
    channels = config.num_attention_heads * config.attention_head_dim
    num_video_tokens = size.num_cells

    def tokens(num_tokens: int) -> jax.ShapeDtypeStruct:
        shape = (_NUM_BRANCHES, num_tokens, channels)
        return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=spread(PartitionSpec()))

    angles = jax.ShapeDtypeStruct(
        (num_video_tokens, config.attention_head_dim), jnp.float32, sharding=spread(PartitionSpec())
    )
    embeds = jax.ShapeDtypeStruct((_NUM_BRANCHES, channels), jnp.bfloat16, sharding=spread(PartitionSpec()))
    mask = jax.ShapeDtypeStruct((_NUM_BRANCHES, NUM_TEXT), jnp.bool_, sharding=spread(PartitionSpec()))
    module = build_module(config, Surroundings(_attend_densely, norm_and_rotate, after={}))

    def run(blocks: list[dict[str, Array]], video: Array, text: Array, *others: Any) -> tuple[Array, Array]:
        for weights in blocks:
            video, text = call(module, BLOCK, weights, video, text, *others)
        return video, text

    return jax.jit(run).lower(
        [block] * NUM_BLOCKS, tokens(num_video_tokens), tokens(NUM_TEXT), embeds, mask, (angles, angles)
    )


def _attend_densely(video: Heads, text: Heads, mask: Bool[Array, "b l"]) -> tuple[Array, Array]:
    """Attention as torch's own with a mask for every pair of tokens; the scores of all heads exist at once."""
    query, key, value = (jnp.concatenate(pair, axis=1).swapaxes(1, 2) for pair in zip(video, text, strict=True))
    num_video_tokens = video[0].shape[1]
    exists = jnp.pad(mask, ((0, 0), (num_video_tokens, 0)), constant_values=True)
    pairs: Float[Array, "b 1 t t"] = (exists[:, None, :, None] & exists[:, None, None, :]).astype(query.dtype)
    scores = jnp.einsum("bnqd,bnkd->bnqk", query, key) * query.shape[-1] ** -0.5
    shares = jax.nn.softmax(jnp.where(pairs > 0, scores, -jnp.inf), axis=-1)
    mixed = jnp.einsum("bnqk,bnkd->bqnd", shares, value)
    return mixed[:, :num_video_tokens], mixed[:, num_video_tokens:]


def _spec(name: str) -> PartitionSpec:
    layer, _, kind = name.rpartition(".")
    if layer.endswith(_COLUMNS):
        return PartitionSpec(_AXIS)
    return PartitionSpec(None, _AXIS) if layer.endswith(_ROWS) and kind == "weight" else PartitionSpec()
