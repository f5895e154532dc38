"""The two forms of the convolution of padded frames, and which one a platform gets."""

import jax
import numpy as np
import pytest

from stages.decode.convolution import (
    BLOCK_CELLS,
    BLOCKS_FROM_CHANNELS,
    KERNEL_SIZE,
    PRECISION,
    convolve_by_blocks,
    convolve_by_taps,
    convolve_padded,
)
from tests.products import list_precisions

TOLERANCE = 1e-5  # float32, sums of 27 x 8 products in another order; results are of order 1
Inputs = tuple[tuple[jax.Array, ...], jax.Array]


def random_inputs(height: int, width: int, *, channels: int = 8, batch: int = 1) -> Inputs:
    """Three padded frames, and a kernel to four channels."""
    random = np.random.default_rng(0)
    shape = (batch, height + 2, width + 2, channels)
    frames = tuple(jax.numpy.asarray(random.normal(size=shape), np.float32) for _ in range(KERNEL_SIZE))
    kernel = random.normal(size=(*(KERNEL_SIZE,) * 3, channels, 4)) / (27 * channels) ** 0.5
    return frames, jax.numpy.asarray(kernel, np.float32)


def lower(platform: str, *, channels: int) -> str:
    """The program that a platform's compiler gets."""
    traced = jax.jit(convolve_padded).trace(*random_inputs(2, 2, channels=channels))
    return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (5, 7), (24, 32), (BLOCK_CELLS, 2), (3, BLOCK_CELLS + 1)],
    ids=["one cell", "one block", "two blocks", "two tall blocks", "a row is more than a block"],
)
def test_blocks_equal_taps(height: int, width: int):
    inputs = random_inputs(height, width)
    np.testing.assert_allclose(convolve_by_blocks(*inputs), convolve_by_taps(*inputs), atol=TOLERANCE, rtol=0)


def test_blocks_equal_taps_where_the_last_block_holds_rows_of_the_one_before():
    inputs = random_inputs(25, 32, batch=2)
    assert 25 % (BLOCK_CELLS // 32) == 1
    np.testing.assert_allclose(convolve_by_blocks(*inputs), convolve_by_taps(*inputs), atol=TOLERANCE, rtol=0)


def test_on_cpu_wide_frames_are_one_matrix_product():
    program = lower("cpu", channels=BLOCKS_FROM_CHANNELS)
    assert "stablehlo.convolution" not in program
    assert program.count("stablehlo.dot_general") == 1


def test_on_cpu_narrow_frames_are_three_convolutions():
    program = lower("cpu", channels=BLOCKS_FROM_CHANNELS - 1)
    assert program.count("stablehlo.convolution") == 3
    assert "stablehlo.dot_general" not in program


def test_on_tpu_wide_frames_are_three_convolutions():
    program = lower("tpu", channels=BLOCKS_FROM_CHANNELS)
    assert program.count("stablehlo.convolution") == 3
    assert "stablehlo.dot_general" not in program


def test_every_product_of_both_forms_asks_for_all_bits():
    frames, kernel = random_inputs(2, 2, channels=BLOCKS_FROM_CHANNELS)
    program = jax.make_jaxpr(convolve_padded)(frames, kernel)
    # a convolution asks for both of its sides
    assert list_precisions(program.jaxpr) == [(PRECISION, PRECISION)] * 4
