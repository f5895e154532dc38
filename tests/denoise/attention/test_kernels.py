"""Which form of attention runs where. That a TPU's program holds its kernel is tested with the compiler."""

from types import SimpleNamespace
from typing import Any

import jax
import pytest

from stages.denoise.attention.bounded import bounded_attention
from stages.denoise.attention.kernels import pick_attention, uses_bounds
from stages.denoise.attention.plain import plain_attention
from stages.denoise.attention.splash import splash_attention
from stages.denoise.attention.tiles import BOUNDED_TILES, SPLASH_TILES


def test_a_cpu_has_no_kernel_and_runs_the_plain_form():
    picked: Any = pick_attention(jax.devices("cpu")[0], window_size=3, has_bounded_scores=True)
    assert (picked.func, picked.keywords) == (plain_attention, {"window_size": 3})


@pytest.mark.parametrize(
    ("has_bounded_scores", "kernel", "tiles"),
    [(True, bounded_attention, BOUNDED_TILES), (False, splash_attention, SPLASH_TILES)],
)
def test_a_tpu_takes_a_maximum_only_where_scores_have_no_bound(has_bounded_scores, kernel, tiles):
    chip: Any = SimpleNamespace(platform="tpu", device_kind="TPU v6 lite")
    picked: Any = pick_attention(chip, window_size=3, has_bounded_scores=has_bounded_scores)
    assert (picked.func, picked.keywords) == (kernel, {"window_size": 3, "tiles": tiles["TPU v6 lite"]})


@pytest.mark.parametrize(("platform", "is_asked"), [("tpu", True), ("gpu", False), ("cpu", False)])
def test_only_the_kernel_of_a_tpu_depends_on_a_bound(platform: str, is_asked: bool):
    device: Any = SimpleNamespace(platform=platform)
    assert uses_bounds(device) is is_asked
