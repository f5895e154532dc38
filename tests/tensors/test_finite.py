"""Values that are not finite are refused."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from stages.errors import StageError
from stages.tensors.finite import require_finite


@pytest.mark.parametrize(
    ("dtype", "fix"),
    [
        ("bfloat16", 'Set denoise.dtype = "float32", or use another checkpoint in params/model.toml.'),
        ("float32", "Use another checkpoint in params/model.toml."),
    ],
)
def test_values_that_are_not_finite_are_refused(dtype: str, fix: str):
    values = jnp.array([[1, jnp.nan, jnp.inf, -jnp.inf]], dtype)
    with pytest.raises(StageError) as error:
        require_finite(values, what="latents", parameter="denoise.dtype", dtype=dtype, checkpoint=Path("model/dit"))
    assert str(error.value) == f"latents: 3 of 4 values are not finite; model/dit made them in {dtype}. {fix}"


def test_finite_values_pass():
    largest = jnp.finfo(jnp.float32).max
    require_finite(jnp.array([0, largest]), what="x", parameter="x.dtype", dtype="float32", checkpoint=Path())
