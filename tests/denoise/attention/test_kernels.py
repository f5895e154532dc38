"""Which form of attention runs where. That TPUs have the kernel of their kind is tested with their compiler."""

import jax

from stages.denoise.attention.kernels import pick_attention
from stages.denoise.attention.plain import plain_attention


def test_a_cpu_has_no_kernel_and_runs_the_plain_form():
    picked = pick_attention(jax.devices("cpu")[0], window_size=3)
    assert (picked.func, picked.keywords) == (plain_attention, {"window_size": 3})  # type: ignore[attr-defined]
