"""What cuDNN's attention is given: the same arguments through JAX's XLA form, against the plain twin. On no GPU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stages.denoise.attention.cudnn import cudnn_attention, gpu_attention, takes
from stages.denoise.attention.plain import plain_attention

pytestmark = pytest.mark.compiles

HOPPER = "9.0"
ALLOWED = {"head_size": 128, "dtype": jnp.dtype("bfloat16"), "window_size": 0, "compute_capability": HOPPER}


def build_inputs(num_video_tokens: int, text_masks: list[list[int]], *, dtype=jnp.float32):
    random = np.random.default_rng(0)
    mask = jnp.array(text_masks, bool)
    shape = (len(text_masks), 2, num_video_tokens + mask.shape[1], 16)
    return *(jnp.asarray(random.normal(size=shape), dtype) for _ in range(3)), mask


def valid_rows(result, mask) -> np.ndarray:
    """Zero where a text token does not exist."""
    exists = jnp.concatenate([jnp.ones((mask.shape[0], result.shape[2] - mask.shape[1]), bool), mask], axis=1)
    return np.where(exists[:, None, :, None], result.astype(jnp.float32), 0)


@pytest.mark.parametrize(
    ("num_video_tokens", "text_masks"),
    [
        (12, [[1, 1, 1, 1], [1, 1, 1, 1]]),  # nothing is padding
        (12, [[1, 1, 0, 0], [1, 0, 0, 0]]),  # at the end, the branches differ
        (12, [[1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0]]),  # between glyphs and prompt, and before it
        (0, [[0, 1, 0]]),  # text alone
    ],
)
def test_keys_that_exist_and_no_others_are_seen(num_video_tokens: int, text_masks: list[list[int]]):
    inputs = build_inputs(num_video_tokens, text_masks)
    ours = jax.jit(partial(cudnn_attention, implementation="xla"))(*inputs)
    np.testing.assert_allclose(
        valid_rows(ours, inputs[3]),
        valid_rows(plain_attention(*inputs), inputs[3]),
        atol=2e-6,  # float32
    )


def test_what_a_padded_token_holds_changes_no_other_token():
    query, key, value, mask = build_inputs(12, [[1, 0, 1, 0]])
    quiet = cudnn_attention(query, key, value, mask, implementation="xla")
    loud = cudnn_attention(query, key.at[:, :, 13].set(50), value.at[:, :, 13].set(1e30), mask, implementation="xla")
    assert np.array_equal(valid_rows(quiet, mask), valid_rows(loud, mask))


@pytest.mark.parametrize(
    "changes",
    [
        {"window_size": 8},  # cuDNN's windows reach back only
        {"dtype": jnp.dtype("float32")},
        {"head_size": 12},
        {"head_size": 256},
        {"compute_capability": "7.5"},
        {"compute_capability": "gfx942"},  # AMD's
    ],
)
def test_what_cudnn_cannot_do_is_not_asked_of_it(changes):
    assert takes(**ALLOWED)
    assert not takes(**ALLOWED | changes)


@pytest.mark.parametrize("compute_capability", ["8.0", "10.0", "12.1"])
def test_chips_from_ampere_on_have_the_kernel(compute_capability: str):
    assert takes(**ALLOWED | {"compute_capability": compute_capability})


@pytest.mark.parametrize("window_size", [0, 3])
def test_float32_and_windows_are_left_to_the_plain_form(window_size: int):
    inputs = build_inputs(12, [[1, 1, 0]])
    ours = gpu_attention(*inputs, window_size=window_size, compute_capability=HOPPER)
    assert np.array_equal(ours, plain_attention(*inputs, window_size=window_size))
