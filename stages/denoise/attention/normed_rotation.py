"""What happens to queries and keys of video before attention, in one pass on TPU: RMS norm, then rotary embedding.

Owns the kernel and its plain twin. As operators of their own, the compiler turns whole arrays of float32 around for the
means over channels and back for the rotation.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float

from stages.denoise.attention.blocks import LANES
from stages.denoise.rotary import Angles, rotate

_TOKENS = 256  # of a block: with 16 heads of 128 channels, 1 MiB of bfloat16
_VMEM_LIMIT_BYTES = 32 * 2**20


def norm_and_rotate(
    heads: Float[Array, "b t n d"], weight: Float[Array, " d"], angles: Angles, *, epsilon: float
) -> Float[Array, "b t n d"]:
    """Queries or keys normed over their channels and turned by the angles of their tokens.

    Args:
        heads: any float dtype; d is even.
        weight: of the norm; its dtype is that of `heads`.
        angles: as in `rotate`.
        epsilon: > 0, added to the mean of the squares.
    Returns:
        [b, t, n, d], dtype of `heads`. Means and products are float32; the normed values are rounded to the dtype.
    Source:
        Zhang and Sennrich 2019, arXiv:1910.07467; `RMSNorm` and `apply_rotary_emb` of diffusers.
    """
    return rotate(_norm(heads, weight, epsilon), angles)


def norm_and_rotate_on_tpu(
    heads: Float[Array, "b t n d"],
    weight: Float[Array, " d"],
    angles: Angles,
    *,
    epsilon: float,
    interpret: bool = False,
) -> Float[Array, "b t n d"]:
    """The same as `norm_and_rotate`, by a kernel where heads fill whole registers.

    Args:
        heads, weight, angles, epsilon: as there.
        interpret: run the kernel's program step by step, on any device: for tests.
    """
    batch, num_tokens, num_heads, size = heads.shape
    if size % LANES:
        return norm_and_rotate(heads, weight, angles, epsilon=epsilon)
    tile = min(_TOKENS, num_tokens)
    of_tokens = pl.BlockSpec((tile, size), lambda _, row: (row, 0))
    side_by_side = pl.BlockSpec((1, tile, num_heads * size), lambda entry, row: (entry, row, 0))
    shape = jax.ShapeDtypeStruct((batch, num_tokens, num_heads * size), heads.dtype)
    result: Array = pl.pallas_call(
        functools.partial(_kernel, size=size, epsilon=epsilon),
        grid=(batch, -(-num_tokens // tile)),
        in_specs=(side_by_side, pl.BlockSpec((1, size), lambda *_: (0, 0)), of_tokens, of_tokens),
        out_specs=side_by_side,
        out_shape=shape,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel"), vmem_limit_bytes=_VMEM_LIMIT_BYTES
        ),
        cost_estimate=pl.CostEstimate(flops=0, transcendentals=0, bytes_accessed=2 * heads.size * heads.dtype.itemsize),
        interpret=interpret,
        name="norm_and_rotate",
    )(heads.reshape(shape.shape), weight[None], *angles)
    return result.reshape(heads.shape)


def _kernel(heads: Any, weight: Any, cosines: Any, sines: Any, result: Any, *, size: int, epsilon: float) -> None:
    """All heads of some tokens, one head after the other: [1, t, n * d]."""
    is_first = jax.lax.broadcasted_iota(jnp.int32, (1, size), 1) % 2 == 0  # of a pair
    for start in range(0, heads.shape[2], size):
        channels = slice(start, start + size)
        normed = _norm(heads[0, :, channels], weight[0], epsilon).astype(jnp.float32)
        swapped = jnp.where(is_first, -pltpu.roll(normed, size - 1, 1), pltpu.roll(normed, 1, 1))
        turned = normed * cosines[...] + swapped * sines[...]
        result[0, :, channels] = turned.astype(result.dtype)


def _norm(heads: Float[Array, "*axes d"], weight: Float[Array, " d"], epsilon: float) -> Float[Array, "*axes d"]:
    """RMS norm over the last axis, in the dtype of `heads`."""
    wide = heads.astype(jnp.float32)
    scaled: Array = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + epsilon)
    return scaled.astype(weight.dtype) * weight
