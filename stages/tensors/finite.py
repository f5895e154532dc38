"""A check that a result holds finite values, made by the stage before anything is published."""

from pathlib import Path

import jax.numpy as jnp
from jaxtyping import Array, Float

from stages.errors import StageError


def require_finite(values: Float[Array, "..."], *, what: str, parameter: str, dtype: str, checkpoint: Path) -> None:
    """Raise StageError when a value is NaN or infinite.

    Args:
        values: any shape, any float dtype.
        what: name of the result, for the message.
        parameter: dotted name of the parameter that sets the dtype in which the stage computes.
        dtype: the value of this parameter.
        checkpoint: folder of the component that computed the result.
    """
    num_bad = int(jnp.size(values) - jnp.isfinite(values).sum())
    if num_bad == 0:
        return
    wider = f'Set {parameter} = "float32", or use' if dtype != "float32" else "Use"
    raise StageError(
        f"{what}: {num_bad} of {jnp.size(values)} values are not finite; {checkpoint} made them in {dtype}. "
        f"{wider} another checkpoint in params/model.toml."
    )
