"""Plain attention: against a dense softmax in numpy, and its masks against arrays written out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stages.denoise.attention.plain import mark_keys, plain_attention, window_start

pytestmark = pytest.mark.compiles


def build_inputs(
    num_video_tokens: int, text_mask: list[list[bool]], *, heads: int = 2, size: int = 4, dtype=jnp.float32
):
    random = np.random.default_rng(0)
    mask = jnp.array(text_mask)
    shape = (mask.shape[0], heads, num_video_tokens + mask.shape[1], size)
    return *(jnp.asarray(random.normal(size=shape), dtype) for _ in range(3)), mask


def attend_densely(query, key, value, visible):
    """The definition, with visible [b, t, t]."""
    query, key, value = (np.asarray(array, np.float64) for array in (query, key, value))
    scores = np.einsum("bnqd,bnkd->bnqk", query, key) / np.sqrt(query.shape[-1])
    scores = np.where(visible[:, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bnqk,bnkd->bnqd", weights, value)


def find_visible(num_video_tokens: int, text_mask: list[bool], **options) -> np.ndarray:
    """Which key [t] each query [t] sees: equal scores, and values that name their key."""
    num_tokens = num_video_tokens + len(text_mask)
    zeros = jnp.zeros((1, 1, num_tokens, num_tokens))
    value = jnp.eye(num_tokens)[None, None]
    return np.asarray(plain_attention(zeros, zeros, value, jnp.array([text_mask]), **options)[0, 0] > 0)


@pytest.mark.parametrize("max_scores", [1, 40, 10_000])
def test_full_attention_equals_a_dense_softmax_whatever_the_chunk(max_scores: int):
    inputs = build_inputs(7, [[True, True, False], [True, False, False]])
    visible = np.ones((2, 10, 10), bool)
    visible[0, :, 9] = False
    visible[1, :, 8:] = False
    result = plain_attention(*inputs, max_scores=max_scores)
    np.testing.assert_allclose(result, attend_densely(*inputs[:3], visible), atol=2e-6)  # float32


@pytest.mark.parametrize(("window_size", "max_scores"), [(1, 1), (2, 10_000), (3, 30), (5, 10_000), (8, 60)])
def test_window_attention_equals_a_dense_softmax_whatever_the_chunk(window_size: int, max_scores: int):
    inputs = build_inputs(9, [[True, False]])
    visible = np.ones((1, 11, 11), bool)
    visible[:, :, 10] = False
    for row in range(9):
        start = int(window_start(jnp.array(row), window_size=window_size, num_video_tokens=9))
        visible[0, row, :9] = (np.arange(9) >= start) & (np.arange(9) < start + window_size)
    result = plain_attention(*inputs, window_size=window_size, max_scores=max_scores)
    np.testing.assert_allclose(result, attend_densely(*inputs[:3], visible), atol=2e-6)  # float32


def test_video_sees_its_window_and_all_valid_text_and_text_sees_everything():
    assert find_visible(6, [True, False, True], window_size=3).astype(int).tolist() == [
        [1, 1, 1, 0, 0, 0, 1, 0, 1],
        [1, 1, 1, 0, 0, 0, 1, 0, 1],
        [0, 1, 1, 1, 0, 0, 1, 0, 1],
        [0, 0, 1, 1, 1, 0, 1, 0, 1],
        [0, 0, 0, 1, 1, 1, 1, 0, 1],
        [0, 0, 0, 1, 1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 1, 1, 0, 1],
        [1, 1, 1, 1, 1, 1, 1, 0, 1],
    ]


def test_without_a_window_everything_sees_all_but_padding():
    visible = find_visible(3, [True, False])
    assert visible.astype(int).tolist() == [[1, 1, 1, 1, 0]] * 5


def test_a_window_over_all_tokens_equals_no_window():
    inputs = build_inputs(5, [[True, False]])
    full = plain_attention(*inputs)
    assert np.array_equal(full, plain_attention(*inputs, window_size=5))
    assert np.array_equal(full, plain_attention(*inputs, window_size=1000))


def test_what_a_padded_token_holds_changes_no_other_token():
    query, key, value, mask = build_inputs(4, [[True, False]])
    attend = functools.partial(plain_attention, text_mask=mask, window_size=2)
    loud = attend(query.at[:, :, 5].set(50), key.at[:, :, 5].set(50), value.at[:, :, 5].set(1e30))
    assert np.array_equal(loud[:, :, :5], attend(query, key, value)[:, :, :5])


def test_text_alone_can_be_attended_to():
    inputs = build_inputs(0, [[True, True, False]])
    visible = np.array([[[True, True, False]] * 3])
    np.testing.assert_allclose(plain_attention(*inputs), attend_densely(*inputs[:3], visible), atol=2e-6)  # float32


def test_bfloat16_is_rounded_at_the_ends_only():
    inputs = build_inputs(40, [[True] * 8], dtype=jnp.bfloat16)
    result = plain_attention(*inputs)
    assert result.dtype == jnp.bfloat16
    exact = attend_densely(*inputs[:3], np.ones((1, 48, 48), bool))
    # Weights and result are rounded to 8 bits each; scores rounded so would be off by several times that.
    np.testing.assert_allclose(np.asarray(result, np.float32), exact, atol=2**-8)


@pytest.mark.parametrize("window_size", [0, 256])
def test_no_matrix_of_all_queries_by_all_keys_is_built(window_size: int):
    num_tokens = 4096
    tokens = jax.ShapeDtypeStruct((1, 1, num_tokens, 8), jnp.float32)
    mask = jax.ShapeDtypeStruct((1, 32), jnp.bool_)
    attend = jax.jit(functools.partial(plain_attention, window_size=window_size, max_scores=2**16))
    memory = attend.lower(tokens, tokens, tokens, mask).compile().memory_analysis()
    assert memory.temp_size_in_bytes < num_tokens**2 * 4 / 16


def test_of_the_last_tokens_all_of_the_video_and_the_text_of_the_mask_exist():
    text_mask = jnp.array([[True, False], [False, True]])
    assert mark_keys(text_mask, 4).tolist() == [[True, True, True, False], [True, True, False, True]]
    assert mark_keys(text_mask, 2).tolist() == text_mask.tolist()
