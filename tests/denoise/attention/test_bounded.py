"""Attention without a running maximum, run step by step on the CPU, against exact attention in float64."""

import functools
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from stages.denoise.attention.bounded import MAX_SCORE, bounded_attention
from stages.denoise.attention.plain import window_start
from stages.denoise.attention.splash import splash_attention
from stages.denoise.attention.tiles import Tiles
from stages.machine.flops import count_flops
from tests.products import list_precisions
from tests.quick_compiler import QUICK

pytestmark = pytest.mark.compiles

SMALL = Tiles(query=128, key=256, compute=128)
SIZE = 128
MAX_GAIN = math.sqrt(MAX_SCORE / SIZE**0.5)  # of the norms of queries and of keys


def build_inputs(
    num_video_tokens: int, text_lengths: list[int], *, bucket: int, size: int = SIZE, gain: float = 1.5,
    dtype=jnp.float32,
):  # fmt: skip
    """Query and key normed as in the DiT, and multiplied by `gain`; a quarter of the keys equal some query."""
    random = np.random.default_rng(0)
    shape = (len(text_lengths), 2, num_video_tokens + bucket, size)
    query, key = (random.normal(size=shape) for _ in range(2))
    key[:, :, ::4] = query[:, :, ::4]
    query, key = (gain * array / np.sqrt((array**2).mean(-1, keepdims=True)) for array in (query, key))
    mask = np.arange(bucket) < np.array(text_lengths)[:, None]
    return *(jnp.asarray(array, dtype) for array in (query, key, random.normal(size=shape))), jnp.asarray(mask)


def joint(attention):
    """The bounded kernel with video and text in one array, as the others have it; with 3 places of padding."""
    if attention is not bounded_attention:
        return attention

    def attend(query, key, value, mask, **options):
        num_video_tokens = query.shape[2] - mask.shape[1]
        tokens = [array.swapaxes(1, 2) for array in (query, key, value)]
        video = tuple(
            jnp.concatenate([array[:, :num_video_tokens], jnp.full_like(array[:, :3], 7)], axis=1) for array in tokens
        )
        text = tuple(array[:, num_video_tokens:] for array in tokens)
        of_video, of_text = bounded_attention(video, text, mask, num_video_tokens=num_video_tokens, **options)
        return jnp.concatenate([of_video[:, :num_video_tokens], of_text], axis=1).swapaxes(1, 2)

    return attend


def compute(attention, inputs, *, window_size: int = 0) -> np.ndarray:
    """A kernel's result, of all tokens that exist."""
    run = functools.partial(joint(attention), window_size=window_size, tiles=SMALL, interpret=True)
    compiled = jax.jit(run).lower(*inputs).compile(compiler_options=dict(QUICK))
    return np.where(existing(inputs)[:, None, :, None], np.asarray(compiled(*inputs), np.float64), 0)


def existing(inputs) -> np.ndarray:
    """Which tokens exist, [b, t]."""
    mask = np.asarray(inputs[3])
    return np.concatenate([np.ones((len(mask), inputs[0].shape[2] - mask.shape[1]), bool), mask], axis=1)


def truth(inputs, *, window_size: int = 0) -> np.ndarray:
    """Exact attention, in float64."""
    query, key, value = (np.asarray(array).astype(np.float64) for array in inputs[:3])
    exists, tokens = existing(inputs), np.arange(query.shape[2])
    num_video_tokens = len(tokens) - inputs[3].shape[1]
    sees = np.ones((len(tokens), len(tokens)), bool)
    if 0 < window_size < num_video_tokens:
        start = window_start(tokens, window_size=window_size, num_video_tokens=num_video_tokens)[:, None]
        sees = (tokens >= start) & (tokens < start + window_size) | (tokens >= num_video_tokens)
        sees |= tokens[:, None] >= num_video_tokens
    scores = query @ key.swapaxes(2, 3) / math.sqrt(query.shape[3])
    scores = np.where(sees & exists[:, None, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.where(exists[:, None, :, None], weights @ value / weights.sum(-1, keepdims=True), 0)


LENGTHS = [
    (256, [32], 32, 0),  # video fills a tile
    (300, [5, 32], 32, 0),  # it does not, and the branches differ
    (100, [3], 64, 0),  # less than a tile
    (0, [7], 32, 0),  # text alone
    (512, [0], 0, 0),  # video alone
    (556, [5], 32, 40),
    (556, [5], 32, 256),
    (556, [5], 32, 299),
    (556, [5], 32, 555),
    (456, [5], 32, 1),  # some tiles of queries see no key of the bulk
]


@pytest.mark.parametrize(("num_video_tokens", "text_lengths", "bucket", "window_size"), LENGTHS)
def test_the_kernel_is_exact_attention(num_video_tokens, text_lengths, bucket, window_size):
    inputs = build_inputs(num_video_tokens, text_lengths, bucket=bucket)
    ours = compute(bounded_attention, inputs, window_size=window_size)
    np.testing.assert_allclose(ours, truth(inputs, window_size=window_size), atol=1e-5)


@pytest.mark.parametrize("gain", [0, 0.1, 1, MAX_GAIN])
@pytest.mark.parametrize("window_size", [0, 40])
def test_in_bfloat16_it_is_as_close_to_the_truth_as_splash(gain, window_size):
    """Up to the largest scores that are allowed; a gain of 0 makes them all equal.

    Interpreted, splash does not round its weights to bfloat16, as a TPU does.
    """
    inputs = build_inputs(300, [5], bucket=32, gain=gain, dtype=jnp.bfloat16)
    exact = truth(inputs, window_size=window_size)
    ours, splash = (
        compute(attention, inputs, window_size=window_size) - exact
        for attention in (bounded_attention, splash_attention)
    )
    assert np.sqrt(np.mean(ours**2)) <= 1.1 * np.sqrt(np.mean(splash**2))


@pytest.mark.parametrize("sign", [-1, 1])
def test_scores_that_are_all_at_the_bound_neither_overflow_nor_vanish(sign):
    """All keys are alike, and all values but the first are 2^-20: what is left is their mean."""
    query, _, value, mask = build_inputs(556, [32], bucket=32)
    query = jnp.full_like(query, MAX_GAIN)
    value = jnp.full_like(value, 2.0**-20).at[:, :, 0].set(4096)
    result = compute(bounded_attention, (query, sign * query, value, mask))
    np.testing.assert_allclose(result, 4096 / 588, rtol=1e-5)


def test_the_largest_sum_of_300_000_keys_stays_below_the_largest_float():
    largest = 300_000 * 2.0 ** (MAX_SCORE * math.log2(math.e)) * 2.0**12
    smallest = 2.0 ** (-MAX_SCORE * math.log2(math.e)) * 2.0**-30
    assert largest < float(ml_dtypes.finfo(np.float32).max)
    assert smallest >= float(np.finfo(np.float32).tiny) * (1 - 1e-9)


@pytest.mark.parametrize("window_size", [0, 40])
def test_every_product_of_float32_is_made_in_float32(window_size):
    highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    run = functools.partial(joint(bounded_attention), window_size=window_size, tiles=SMALL)
    with jax.default_matmul_precision("highest"):
        precisions = list_precisions(jax.make_jaxpr(run)(*build_inputs(300, [5], bucket=32)).jaxpr)
    assert len(precisions) >= 4  # scores and sums, of the bulk and of the rest
    assert set(precisions) == {highest}


@pytest.mark.parametrize("size", [64, 12])
def test_heads_may_have_any_size(size):
    inputs = build_inputs(256, [32], bucket=32, size=size)
    np.testing.assert_allclose(compute(bounded_attention, inputs), truth(inputs), atol=1e-5)


def test_what_a_padded_token_holds_changes_no_other_token():
    query, key, value, mask = build_inputs(300, [5], bucket=32)
    quiet = compute(bounded_attention, (query, key, value, mask))
    loud = (query, key.at[:, :, 310:].set(50), value.at[:, :, 310:].set(1e30), mask)
    assert np.array_equal(quiet, compute(bounded_attention, loud))


@pytest.mark.parametrize(
    ("num_video_tokens", "bucket", "window_size", "num_scores"),
    [
        (512, 0, 0, 4 * 128 * 512),
        (556, 32, 0, (5 + 1) * 128 * (512 + 128 + 128)),  # the tail, 44 keys, and text are padded to 128 each
        # Of five tiles of video's queries, the second and the third see keys of both tiles; text sees all.
        (556, 32, 8, (7 * 256 + 5 * (128 + 128)) * 128 + 128 * (512 + 128 + 128)),
    ],
)
def test_the_kernel_says_how_many_operations_it_takes(num_video_tokens, bucket, window_size, num_scores):
    video, text = ([jnp.zeros((1, size, 2, SIZE))] * 3 for size in (num_video_tokens, bucket))
    run = functools.partial(bounded_attention, num_video_tokens=num_video_tokens, window_size=window_size, tiles=SMALL)
    traced = jax.make_jaxpr(run)(tuple(video), tuple(text), jnp.ones((1, bucket), bool))
    assert count_flops(traced.jaxpr) == 2 * 2 * 2 * SIZE * num_scores  # heads, products, multiply and add
