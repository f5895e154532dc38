"""Norm and rotary embedding in one pass, run step by step on the CPU, against its plain twin and diffusers' modules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.normalization import RMSNorm

from stages.denoise.attention.normed_rotation import norm_and_rotate, norm_and_rotate_on_tpu
from tests.quick_compiler import QUICK

pytestmark = pytest.mark.compiles

EPSILON = 1e-6
on_tpu = functools.partial(norm_and_rotate_on_tpu, interpret=True)


def build_inputs(*, size: int, num_tokens: int = 300, dtype: str = "float32"):
    random = np.random.default_rng(0)
    heads = random.normal(size=(2, num_tokens, 3, size))
    turns = random.uniform(0, 7, (num_tokens, size // 2)).repeat(2, axis=1)
    angles = jnp.asarray(np.cos(turns), jnp.float32), jnp.asarray(np.sin(turns), jnp.float32)
    return jnp.asarray(heads, dtype), jnp.asarray(random.normal(size=size), dtype), angles


def compute(function, inputs) -> np.ndarray:
    compiled = jax.jit(functools.partial(function, epsilon=EPSILON)).lower(*inputs).compile(dict(QUICK))
    return np.asarray(compiled(*inputs), np.float32)


def by_diffusers(inputs) -> np.ndarray:
    heads, weight, angles = inputs
    dtype = torch.bfloat16 if heads.dtype == jnp.bfloat16 else torch.float32
    norm = RMSNorm(heads.shape[3], eps=EPSILON).to(dtype)
    norm.weight.data = torch.from_numpy(np.array(weight, np.float32)).to(dtype)
    normed = norm(torch.from_numpy(np.array(heads, np.float32)).to(dtype))
    turned = apply_rotary_emb(normed, tuple(torch.from_numpy(np.array(angle)) for angle in angles), sequence_dim=1)
    return turned.detach().float().numpy()


@pytest.mark.parametrize("function", [norm_and_rotate, on_tpu])
@pytest.mark.parametrize("size", [128, 16])
def test_it_is_that_of_diffusers(function, size: int):
    inputs = build_inputs(size=size)
    np.testing.assert_allclose(compute(function, inputs), by_diffusers(inputs), rtol=0, atol=2e-6)


@pytest.mark.parametrize("function", [norm_and_rotate, on_tpu])
def test_in_bfloat16_it_is_as_close_to_the_truth_as_diffusers(function):
    inputs = build_inputs(size=128, dtype="bfloat16")
    truth = by_diffusers((inputs[0].astype("float32"), inputs[1].astype("float32"), inputs[2]))
    ours, theirs = (
        np.sqrt(np.mean((result - truth) ** 2)) for result in (compute(function, inputs), by_diffusers(inputs))
    )
    assert 0 < ours <= 1.01 * theirs


@pytest.mark.parametrize("num_tokens", [1, 256, 257])
def test_the_kernel_takes_any_number_of_tokens(num_tokens: int):
    inputs = build_inputs(size=128, num_tokens=num_tokens)
    np.testing.assert_allclose(compute(on_tpu, inputs), compute(norm_and_rotate, inputs), rtol=0, atol=2e-6)
