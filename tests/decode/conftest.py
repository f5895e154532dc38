"""For all tests of this folder: no silent promotion of dtypes and ranks."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def _no_silent_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
