"""All forms of the convolution are one convolution."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stages.decode.convolution import (
    convolve,
    convolve_by_product,
    convolve_each_row,
    convolve_each_tap,
    convolve_on_tpu,
)
from tests.products import list_precisions

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4, 5)).astype(np.float32)
TAPS = np.random.default_rng(1).normal(size=(3, 2, 5, 6, 4)).astype(np.float32)  # frames of 3 x 4 cells, two of them


@pytest.mark.parametrize("form", [convolve, convolve_each_tap, convolve_by_product, convolve_each_row])
def test_every_form_is_torchs_3d_convolution(form: Callable):
    kernel = torch.from_numpy(KERNEL).permute(4, 3, 0, 1, 2)
    expected = torch.nn.functional.conv3d(torch.from_numpy(TAPS).permute(1, 4, 0, 2, 3), kernel)
    result = form(tuple(map(jnp.asarray, TAPS)), jnp.asarray(KERNEL))
    np.testing.assert_allclose(result, expected[:, :, 0].permute(0, 2, 3, 1), atol=2e-5)


@pytest.mark.parametrize("form", [convolve_each_tap, convolve_by_product, convolve_each_row])
def test_every_form_sums_bfloat16_in_float32(form: Callable):
    taps, kernel = tuple(jnp.asarray(TAPS, jnp.bfloat16)), jnp.asarray(KERNEL, jnp.bfloat16)
    assert form(taps, kernel).dtype == jnp.float32


@pytest.mark.parametrize(("cells", "num_products"), [((45, 10), 1), ((90, 20), 3)])
def test_a_tpu_makes_one_product_of_a_small_frame_and_three_of_a_large_one(cells: tuple[int, int], num_products: int):
    frame = jax.ShapeDtypeStruct((1, cells[0] + 2, cells[1] + 2, 1024), jnp.bfloat16)
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 1024, 1024), jnp.bfloat16)
    program = jax.make_jaxpr(convolve_on_tpu)((frame, frame, frame), kernel)
    assert len(list_precisions(program.jaxpr)) == num_products


def convolutions(form: Callable) -> list[str]:
    """Shapes and windows of the convolutions in a compiled program."""
    text = jax.jit(form).lower(tuple(map(jnp.asarray, TAPS)), jnp.asarray(KERNEL)).compile().as_text()
    return sorted(
        f"{shape} {window}" for shape, window in re.findall(r"= (\S+) convolution\(.*?(window=\{.*?\})", text)
    )


def test_a_cpu_convolves_each_tap():
    found = convolutions(convolve)
    assert found == convolutions(convolve_each_tap)
    assert len(found) == 3  # in time, each 3x3
    assert all("f32[2,3,4,5]" in line and "window={size=3x3}" in line for line in found)
    assert found != convolutions(convolve_each_row)
