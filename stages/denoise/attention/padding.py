"""How lengths are rounded up, and arrays padded to them with zeros.

Which length is wanted is said where it is needed: for shares of tokens in collectives.py, for tiles in splash.py, for
text in text_tokens.py.
"""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def round_up(size: int, multiple: int) -> int:
    """The least multiple of `multiple` > 0 that is `size` >= 0 or more."""
    return -(-size // multiple) * multiple


def pad_end(array: Shaped[Array, "..."], size: int, *, axis: int) -> Shaped[Array, "..."]:
    """Zeros behind an axis, of any dtype, so that it has `size` entries; `size` is no smaller than what it has."""
    missing = size - array.shape[axis]
    return jnp.pad(array, [(0, missing if dimension == axis else 0) for dimension in range(array.ndim)])
