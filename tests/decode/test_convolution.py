"""All forms of the convolution are one convolution."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from stages.decode.convolution import (
    Taps,
    arrange_for_pairs,
    arrange_kernel,
    convolve,
    convolve_by_product,
    convolve_each_row,
    convolve_on_tpu,
    convolve_pair,
    convolve_still,
    count_together,
)
from tests.products import list_precisions

KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4, 5)).astype(np.float32)
TAPS = np.random.default_rng(1).normal(size=(3, 2, 5, 6, 4)).astype(np.float32)  # frames of 3 x 4 cells, two of them


def convolve_arranged(taps: Taps, kernel: jax.Array, platform: str = "cpu") -> jax.Array:
    return convolve(taps, arrange_kernel(kernel, platform))


FORMS = [convolve_arranged, partial(convolve_arranged, platform="tpu"), convolve_by_product, convolve_each_row]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_torchs_3d_convolution(form: Callable):
    kernel = torch.from_numpy(KERNEL).permute(4, 3, 0, 1, 2)
    expected = torch.nn.functional.conv3d(torch.from_numpy(TAPS).permute(1, 4, 0, 2, 3), kernel)
    result = form(tuple(map(jnp.asarray, TAPS)), jnp.asarray(KERNEL))
    np.testing.assert_allclose(result, expected[:, :, 0].permute(0, 2, 3, 1), atol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_sums_bfloat16_in_float32(form: Callable):
    taps, kernel = tuple(jnp.asarray(TAPS, jnp.bfloat16)), jnp.asarray(KERNEL, jnp.bfloat16)
    assert form(taps, kernel).dtype == jnp.float32


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_still_frame_is_three_equal_taps(dtype: Any, platform: str):
    frame, kernel = jnp.asarray(TAPS[0], dtype), arrange_kernel(jnp.asarray(KERNEL, dtype), platform)
    expected = convolve((frame, frame, frame), kernel)
    np.testing.assert_allclose(convolve_still(frame, kernel), expected, atol=2e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_cpu_convolves_a_still_frame_once(dtype: Any):
    kernel = arrange_kernel(jnp.asarray(KERNEL, dtype), "cpu")
    program = jax.make_jaxpr(convolve_still)(jnp.asarray(TAPS[0], dtype), kernel)
    assert len(list_precisions(program.jaxpr)) == 1


@pytest.mark.parametrize(("platform", "shapes"), [("cpu", [(3, 3, 4, 5)] * 3), ("tpu", [(3, 3, 3, 4, 5)])])
def test_a_kernel_is_whole_on_a_tpu_and_in_taps_elsewhere(platform: str, shapes: list[tuple[int, ...]]):
    assert [array.shape for array in jax.tree.leaves(arrange_kernel(KERNEL, platform))] == shapes


PAIR = np.random.default_rng(2).normal(size=(4, 2, 5, 6, 4)).astype(np.float32)  # two frames and the two before them


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_two_frames_at_once_are_one_after_the_other(dtype: Any):
    frames, kernel = tuple(jnp.asarray(PAIR, dtype)), jnp.asarray(KERNEL, dtype)
    apart = [convolve(frames[index : index + 3], arrange_kernel(kernel, "cpu")) for index in range(2)]
    np.testing.assert_allclose(convolve_pair(frames, arrange_for_pairs(kernel)), jnp.concatenate(apart), atol=4e-5)


def test_two_frames_at_once_take_four_convolutions():
    program = jax.make_jaxpr(convolve_pair)(tuple(map(jnp.asarray, PAIR)), arrange_for_pairs(jnp.asarray(KERNEL)))
    assert len(list_precisions(program.jaxpr)) == 4


def test_a_still_frame_is_the_same_to_the_bit_by_a_kernel_for_pairs():
    frame, kernel = jnp.asarray(TAPS[0]), jnp.asarray(KERNEL)
    apart, together = arrange_kernel(kernel, "cpu"), arrange_kernel(kernel, "cpu", sees_pairs=True)
    np.testing.assert_array_equal(convolve_still(frame, apart), convolve_still(frame, together))


@pytest.mark.parametrize(("platform", "num_together"), [("cpu", 2), ("gpu", 1), ("tpu", 1)])
def test_a_cpu_alone_convolves_two_frames_at_once(platform: str, num_together: int):
    assert count_together(arrange_kernel(jnp.asarray(KERNEL), platform, sees_pairs=True)) == num_together


@pytest.mark.parametrize(("cells", "num_products"), [((45, 10), 1), ((90, 20), 3)])
def test_a_tpu_makes_one_product_of_a_small_frame_and_three_of_a_large_one(cells: tuple[int, int], num_products: int):
    frame = jax.ShapeDtypeStruct((1, cells[0] + 2, cells[1] + 2, 1024), jnp.bfloat16)
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 1024, 1024), jnp.bfloat16)
    program = jax.make_jaxpr(convolve_on_tpu)((frame, frame, frame), kernel)
    assert len(list_precisions(program.jaxpr)) == num_products


def test_a_cpu_convolves_each_tap_by_a_kernel_that_is_not_copied_in_float32():
    taps, kernel = tuple(map(jnp.asarray, TAPS)), arrange_kernel(jnp.asarray(KERNEL), "cpu")
    text = jax.jit(convolve).lower(taps, kernel).compile().as_text()
    found = re.findall(r"= (\S+)\{\S+ convolution\(%(\w+)[.\d]*, %(\w+)[.\d]*\), window=\{size=3x3\}", text)
    # of the program's own arguments
    assert found == [("f32[2,3,4,5]", f"taps_{tap}_", f"kernel_{tap}_") for tap in range(3)]
