"""Lengths and zeros."""

import jax.numpy as jnp
import pytest

from stages.denoise.attention.padding import pad_end, round_up


@pytest.mark.parametrize(("size", "multiple", "rounded"), [(0, 16, 0), (1, 16, 16), (16, 16, 16), (17, 16, 32)])
def test_a_length_is_rounded_up_to_a_multiple(size: int, multiple: int, rounded: int):
    assert round_up(size, multiple) == rounded


def test_zeros_stand_behind_the_one_axis():
    array = jnp.array([[1, 2], [3, 4]], jnp.bfloat16)
    assert pad_end(array, 3, axis=0).tolist() == [[1, 2], [3, 4], [0, 0]]
    assert pad_end(array, 3, axis=1).tolist() == [[1, 2, 0], [3, 4, 0]]
    assert pad_end(array, 2, axis=1).tolist() == [[1, 2], [3, 4]]
    assert pad_end(array, 3, axis=0).dtype == jnp.bfloat16
