"""Lengths rounded up, and arrays padded to them with zeros.

The lengths are chosen where they are needed: shares of tokens in collectives.py, tiles in splash.py, text in
text_tokens.py.
"""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple of `multiple` > 0 that is at least `size` >= 0."""
    return -(-size // multiple) * multiple


def pad_end(array: Shaped[Array, "..."], size: int, *, axis: int) -> Shaped[Array, "..."]:
    """Zeros at the end of an axis, in the array's dtype, so that it has `size` entries; it has no more than that."""
    missing = size - array.shape[axis]
    return jnp.pad(array, [(0, missing if dimension == axis else 0) for dimension in range(array.ndim)])
