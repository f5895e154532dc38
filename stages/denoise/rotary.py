"""Rotary position embedding of queries and keys, in a form that leaves their channels where they are.

Channels 2i and 2i + 1 of a head are a pair, which turns by an angle. Taken apart and put together again, as diffusers
does it, pairs would be the last axis of an array, of which a TPU uses 2 of 128 lanes. A product with a matrix of 0, 1
and -1 swaps the channels of each pair, to the bit.
"""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Angles: TypeAlias = tuple[Float[Array, "t d"], Float[Array, "t d"]]  # cosines and sines, float32


def rotate(heads: Float[Array, "b t n d"], angles: Angles) -> Float[Array, "b t n d"]:
    """Queries or keys turned by the angles of their tokens.

    Args:
        heads: [b, t, n, d], any float dtype; d is even.
        angles: cosines and sines, [t, d], float32; equal for the two channels of a pair.
    Returns:
        [b, t, n, d], dtype of `heads`; products and sum are float32.
    Source:
        Su et al. 2021, arXiv:2104.09864; `apply_rotary_emb` of diffusers, equal to the bit.
    """
    cosines, sines = (angle[:, None] for angle in angles)
    swapped = jnp.matmul(heads, _swap_pairs(heads.shape[3]).astype(heads.dtype), preferred_element_type=jnp.float32)
    turned: Array = heads.astype(jnp.float32) * cosines + swapped * sines
    return turned.astype(heads.dtype)


def _swap_pairs(size: int) -> Float[np.ndarray, "d d"]:
    """The matrix by which (x, y) of each pair becomes (-y, x)."""
    return np.kron(np.eye(size // 2, dtype=np.float32), np.array([[0, 1], [-1, 0]], np.float32))
