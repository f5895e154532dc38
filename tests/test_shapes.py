"""Shapes and dtypes that annotations give are checked on every call in tests (conftest.py)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from stages.decode.layers import rms_norm
from stages.tensors.finite import require_finite


@pytest.mark.parametrize(
    "call",
    [
        partial(rms_norm, jnp.ones((2, 4)), jnp.ones(3)),
        partial(
            require_finite, jnp.ones(3, jnp.int32), what="", parameter="", dtype="float32", checkpoint=Path("nowhere")
        ),
    ],
)
def test_an_array_of_another_shape_or_dtype_is_refused(call: Callable[[], object]):
    with pytest.raises(TypeCheckError):
        call()
