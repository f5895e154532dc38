"""The mid-block's attention, for ONE latent frame and the memory of the frames before it.

Causal by frame: a cell attends to all cells of its own latent frame and of those before. Conventions are those of
layers.py. Source: HunyuanVideo15AttnBlock of autoencoder_kl_hunyuanvideo15.py of diffusers 0.42.
"""

from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from stages.decode.convolution import PRECISION, Leaf
from stages.decode.layers import Frame, PointwiseWeights, pointwise, rms_norm
from stages.decode.strips import AXIS, Strips, is_inside

# Per query, float32: the largest logit, the sum of the shares relative to it, the values mixed by them.
Sums: TypeAlias = tuple[Float32[Array, "b s 1"], Float32[Array, "b s 1"], Float32[Array, "b s c"]]
_LOWEST = -3e38  # of float32; finite, so that a strip without a key gives a sum of weight 0, and no NaN
_dot = partial(jnp.einsum, precision=PRECISION, preferred_element_type=jnp.float32)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["norm", "to_q", "to_k", "to_v", "proj_out"],
    meta_fields=[],
)
@dataclass(frozen=True)
class AttentionWeights(Generic[Leaf]):
    """Attention of one head over all channels; the norm is a gain [c]."""

    norm: Leaf
    to_q: PointwiseWeights[Leaf]
    to_k: PointwiseWeights[Leaf]
    to_v: PointwiseWeights[Leaf]
    proj_out: PointwiseWeights[Leaf]


@partial(jax.tree_util.register_dataclass, data_fields=["keys", "values"], meta_fields=[])
@dataclass(frozen=True)
class AttentionMemory(Generic[Leaf]):
    """Keys and values, [b, f, s, c], of all latent frames; those not yet decoded are zero and never read."""

    keys: Leaf
    values: Leaf


def attention(
    frame: Frame,
    weights: AttentionWeights[Array],
    memory: AttentionMemory[Array],
    position: Int[Array, ""],
    strips: Strips | None = None,
) -> tuple[Frame, AttentionMemory[Array]]:
    """Attention of one latent frame to itself and all frames before it, added to the frame.

    Args:
        frame: [b, h, w, c].
        weights: of the frame's dtype.
        memory: keys and values of the frames before, at their places; there is room for this one.
        position: this frame's place in the video, from 0.
        strips: how the frame is spread over devices; each keeps the keys and values of its own cells.
    Returns:
        [b, h, w, c], and the memory with this frame's keys and values.
    """
    tokens = rms_norm(frame, weights.norm).reshape(frame.shape[0], -1, frame.shape[-1])
    query = pointwise(tokens, weights.to_q)
    memory = AttentionMemory(
        keys=_put_frame(memory.keys, pointwise(tokens, weights.to_k), position),
        values=_put_frame(memory.values, pointwise(tokens, weights.to_v), position),
    )
    if strips:
        mean = _attend_to_strips(query, memory, position + 1, width=frame.shape[2], strips=strips)
    else:
        _, weight, mixed = _attend(query, memory, position + 1)
        mean = mixed / weight
    return frame + pointwise(mean.astype(frame.dtype), weights.proj_out).reshape(frame.shape), memory


def _put_frame(
    cache: Float[Array, "b f s c"], tokens: Float[Array, "b s c"], position: Int[Array, ""]
) -> Float[Array, "b f s c"]:
    filled: Array = jax.lax.dynamic_update_index_in_dim(cache, tokens, position, axis=1)
    return filled


def _attend(
    query: Float[Array, "b s c"],
    memory: AttentionMemory[Array],
    num_frames: Int[Array, ""],
    is_key: Bool[Array, " t"] | None = None,
) -> Sums:
    """Softmax attention to the first `num_frames` frames, one frame at a time; `is_key` where some cells are none.

    The sums are kept relative to the largest logit so far, so no more than one frame's logits, [b, s, t], exist at
    once and the frames not yet decoded are not touched. Source: Milakov and Gimelshein 2018, arXiv:1805.02867.
    """
    batch, num_tokens, channels = query.shape

    def add_frame(index: Array, sums: Sums) -> Sums:
        highest, weight, mixed = sums
        keys = jax.lax.dynamic_index_in_dim(memory.keys, index, axis=1, keepdims=False)
        values = jax.lax.dynamic_index_in_dim(memory.values, index, axis=1, keepdims=False)
        logits = _dot("bsc,btc->bst", query, keys) * (float(channels) ** -0.5)
        if is_key is not None:
            logits = jnp.where(is_key, logits, _LOWEST)
        new_highest = jnp.maximum(highest, logits.max(axis=-1, keepdims=True))
        shares = jnp.exp(logits - new_highest)
        decay = jnp.exp(highest - new_highest)
        return (
            new_highest,
            weight * decay + shares.sum(axis=-1, keepdims=True),
            mixed * decay + _dot("bst,btc->bsc", shares.astype(values.dtype), values),
        )

    row = (batch, num_tokens, 1)
    start = (jnp.full(row, -jnp.inf), jnp.zeros(row), jnp.zeros((batch, num_tokens, channels)))
    sums: Sums = jax.lax.fori_loop(0, num_frames, add_frame, start)
    return sums


def _attend_to_strips(
    query: Float[Array, "b s c"],
    memory: AttentionMemory[Array],
    num_frames: Int[Array, ""],
    *,
    width: int,
    strips: Strips,
) -> Float32[Array, "b s c"]:
    """Attention to the keys of all strips: they stay where they are, the queries and the sums travel.

    Each device attends from all cells to its own keys, then the partial sums are brought to one scale and added up
    where the queries came from. What travels does not grow with the video's length (docs/decisions/0012).
    """
    everywhere = jax.lax.all_gather(query, AXIS, axis=1, tiled=True)
    is_key = jnp.tile(is_inside(width, strips), query.shape[1] // width) if strips.num_filled else None
    highest, weight, mixed = _attend(everywhere, memory, num_frames, is_key)
    scale = jnp.exp(highest - jax.lax.pmax(highest, AXIS))
    total = jax.lax.psum(weight * scale, AXIS)
    mean: Array = jax.lax.psum_scatter(mixed * (scale / total), AXIS, scatter_dimension=1, tiled=True)
    return mean
