"""For all tests of this folder: no silent promotion of dtypes and ranks, and quick compilation."""

from collections.abc import Iterator

import jax
import pytest

from tests.quick_compiler import quick_compiler


@pytest.fixture(autouse=True)
def _no_silent_promotion() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="module", autouse=True)
def _quick_compiler() -> Iterator[None]:
    with quick_compiler():
        yield
