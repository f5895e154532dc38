"""The splash kernel, run step by step on the CPU, against its plain twin; its masks against those of the twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernel
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from stages.denoise.attention.plain import plain_attention, window_start
from stages.denoise.attention.splash import _FullMask, _WindowMask, splash_attention
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Window
from tests.products import list_precisions
from tests.quick_compiler import QUICK

pytestmark = pytest.mark.compiles

SMALL = Tiles(query=128, key=256, compute=128)
SIZE = 128


def build_inputs(num_video_tokens: int, text_lengths: list[int], *, bucket: int, size: int = SIZE, dtype=jnp.float32):
    random = np.random.default_rng(0)
    mask = jnp.arange(bucket) < jnp.array(text_lengths)[:, None]
    shape = (len(text_lengths), 1, num_video_tokens + bucket, size)
    return *(jnp.asarray(random.normal(size=shape), dtype) for _ in range(3)), mask


def run_both(inputs, *, window_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The kernel's result and its twin's, of all tokens that exist."""
    splash = functools.partial(splash_attention, window_size=window_size, tiles=SMALL, interpret=True)
    mask = inputs[3]
    exists = jnp.concatenate([jnp.ones((mask.shape[0], inputs[0].shape[2] - mask.shape[1]), bool), mask], axis=1)
    compiled = jax.jit(splash).lower(*inputs).compile(compiler_options=dict(QUICK))
    results = (compiled(*inputs), plain_attention(*inputs, window_size=window_size))
    ours, twin = (np.where(exists[:, None, :, None], result.astype(jnp.float32), 0) for result in results)
    return ours, twin


@pytest.mark.parametrize(
    ("num_video_tokens", "text_lengths", "bucket"),
    [
        (256, [32], 32),  # video fills a tile
        (300, [5, 32], 32),  # it does not, and the branches differ
        (100, [3], 64),  # less than a tile
        (0, [7], 32),  # text alone
    ],
)
def test_the_kernel_equals_its_twin_whatever_the_lengths(num_video_tokens: int, text_lengths: list[int], bucket: int):
    ours, twin = run_both(build_inputs(num_video_tokens, text_lengths, bucket=bucket))
    np.testing.assert_allclose(ours, twin, atol=5e-6)  # float32, sums in another order, compiled quickly


@pytest.mark.parametrize("window_size", [40, 256, 299])
def test_the_kernel_equals_its_twin_with_a_window_and_text(window_size: int):
    ours, twin = run_both(build_inputs(300 + 256, [5], bucket=32), window_size=window_size)
    np.testing.assert_allclose(ours, twin, atol=5e-6)  # float32, sums in another order, compiled quickly


@pytest.mark.parametrize("window_size", [1, 40])
def test_queries_whose_window_is_in_the_rest_alone_see_it(window_size: int):
    """Tiles of such queries see no key of the bulk, 256 tokens."""
    ours, twin = run_both(build_inputs(200 + 256, [5], bucket=32), window_size=window_size)
    np.testing.assert_allclose(ours, twin, atol=5e-6)  # float32, sums in another order, compiled quickly


@pytest.mark.parametrize("window_size", [0, 40])
def test_every_product_of_float32_in_the_kernel_is_made_in_float32(window_size: int):
    highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    splash = functools.partial(splash_attention, window_size=window_size, tiles=SMALL)
    with jax.default_matmul_precision("highest"):
        precisions = list_precisions(jax.make_jaxpr(splash)(*build_inputs(300, [5], bucket=32)).jaxpr)
    assert len(precisions) >= 4  # scores and sums, of the bulk and of the rest
    assert set(precisions) == {highest}


@pytest.mark.parametrize("size", [64, 12])
def test_the_kernel_takes_heads_of_any_size(size: int):
    ours, twin = run_both(build_inputs(256, [32], bucket=32, size=size))
    np.testing.assert_allclose(ours, twin, atol=5e-6)  # float32, sums in another order, compiled quickly


def test_the_kernel_in_bfloat16_is_as_close_to_the_truth_as_its_twin():
    inputs = build_inputs(300, [5], bucket=32, dtype=jnp.bfloat16)
    ours, twin = run_both(inputs)
    truth, _ = run_both([array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array for array in inputs])
    errors = [np.sqrt(np.mean((result - truth) ** 2)) for result in (ours, twin)]
    assert errors[0] < 1.5 * errors[1]


def test_what_a_padded_token_holds_changes_no_other_token():
    query, key, value, mask = build_inputs(300, [5], bucket=32)
    quiet, _ = run_both((query, key, value, mask))
    loud, _ = run_both((query, key.at[:, :, 310:].set(50), value.at[:, :, 310:].set(1e30), mask))
    assert np.array_equal(quiet, loud)


@pytest.mark.parametrize("first", [0, 256])
def test_tiles_of_the_window_mask_are_those_of_the_whole_mask(first: int):
    window = Window(size=70, num_video_tokens=300)
    mask = _WindowMask((384, 384), window, first=first)
    start = np.asarray(window_start(jnp.arange(384), window_size=70, num_video_tokens=300))[:, None]
    token = np.arange(384)[None] + first
    whole = ((token >= start) & (token < start + 70)) | (token >= 300)
    for row in range(0, 384, 128):
        for column in range(0, 384, 64):
            tile = mask[slice(row, row + 128), slice(column, column + 64)]
            assert np.array_equal(np.broadcast_to(tile, (128, 64)), whole[row : row + 128, column : column + 64])


def test_most_tiles_of_a_long_window_mask_cost_one_cell():
    mask = _WindowMask((2**16, 2**16), Window(size=2**10, num_video_tokens=2**16), first=0)
    tiles = [mask[slice(2**15, 2**15 + 2**10), slice(column, column + 2**10)] for column in range(0, 2**16, 2**10)]
    assert sorted(tile.size for tile in tiles)[-4:] == [1, 2**20, 2**20, 2**20]  # around the diagonal


def test_tiles_of_a_full_mask_cost_one_cell_and_give_the_same_kernel():
    sizes = kernel.BlockSizes(block_q=128, block_kv=256, block_kv_compute=128)
    ours, theirs = (
        kernel.make_splash_mha_single_device(masks.MultiHeadMask([mask((384, 512))] * 2), block_sizes=sizes)
        for mask in (_FullMask, masks.FullMask)
    )
    assert _FullMask((384, 512))[slice(0, 128), slice(0, 256)].size == 1
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)  # what the kernel is made with
    assert all(map(np.array_equal, jax.tree.leaves(ours), jax.tree.leaves(theirs)))  # which tiles it goes through
