"""Results that are no numbers are refused where they arise, before they are published as if they were fresh."""

from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Array, Float

from stages.errors import StageError


def require_finite(values: Float[Array, "..."], *, what: str, parameter: str, dtype: str, checkpoint: Path) -> None:
    """Raise StageError when a value is NaN or infinite.

    Args:
        values: any shape, any float dtype.
        what: name of the result, for the message.
        parameter: dotted name of the parameter that says in which dtype the stage computes.
        dtype: its value.
        checkpoint: the component that made the result.
    """
    num_bad = int(jnp.size(values) - jnp.isfinite(values).sum())
    if num_bad == 0:
        return
    wider = f'Set {parameter} = "float32", or use' if dtype != "float32" else "Use"
    raise StageError(
        f"{what}: {num_bad} of {jnp.size(values)} values are not finite; {checkpoint} made them in {dtype}. "
        f"{wider} another checkpoint in params/model.toml."
    )
