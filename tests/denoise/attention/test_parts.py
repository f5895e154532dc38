"""Video and text in two sets of heads, for an attention that wants one."""

import jax.numpy as jnp
import numpy as np
import pytest

from stages.denoise.attention.parts import Heads, attend_jointly
from stages.denoise.attention.plain import plain_attention

NUM_VIDEO, NUM_PLACES, NUM_TEXT = 5, 8, 3


def build(num_tokens: int, *, seed: int) -> Heads:
    random = np.random.default_rng(seed)
    query, key, value = (jnp.asarray(random.normal(size=(2, num_tokens, 2, 4)), jnp.float32) for _ in range(3))
    return query, key, value


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, np.ndarray]:
    mask = jnp.array([[True] * 3, [True, False, False]])
    video, text = build(NUM_PLACES, seed=0), build(NUM_TEXT, seed=1)
    results = attend_jointly(video, text, mask, num_video_tokens=NUM_VIDEO, attention=plain_attention)
    return tuple(map(np.asarray, results))


def test_what_exists_sees_all_that_exists(mixed):
    video, text = build(NUM_PLACES, seed=0), build(NUM_TEXT, seed=1)
    query, key, value = (  # of the second entry: five tokens of video, one of text
        np.concatenate([of_video[1, :NUM_VIDEO], of_text[1, :1]]) for of_video, of_text in zip(video, text, strict=True)
    )
    weights = np.exp(np.einsum("qnd,knd->nqk", query, key) / 2)
    expected = np.einsum("nqk,knd->qnd", weights / weights.sum(-1, keepdims=True), value)
    np.testing.assert_allclose(mixed[0][1, :NUM_VIDEO], expected[:NUM_VIDEO], atol=1e-5)
    np.testing.assert_allclose(mixed[1][1, :1], expected[NUM_VIDEO:], atol=1e-5)


def test_the_result_has_the_places_of_its_queries_and_zeros_as_padding(mixed):
    of_video, of_text = mixed
    assert (of_video.shape, of_text.shape) == ((2, NUM_PLACES, 2, 4), (2, NUM_TEXT, 2, 4))
    assert not of_video[:, NUM_VIDEO:].any()
