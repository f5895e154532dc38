"""For all tests of this folder: no silent promotion of dtypes and ranks; torch on one thread."""

from collections.abc import Iterator

import jax
import pytest

from tests.threads import one_thread  # noqa: F401 (pytest finds it here)


@pytest.fixture(autouse=True)
def _no_silent_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
