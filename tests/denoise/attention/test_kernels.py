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
    plain = picked.attend.keywords["attention"]
    assert (picked.name, plain.func, plain.keywords) == ("plain_attention", plain_attention, {"window_size": 3})


def pick_for_tpu(*, has_bounded_scores: bool) -> Any:
    chip: Any = SimpleNamespace(platform="tpu", device_kind="TPU v6 lite")
    return pick_attention(chip, window_size=3, has_bounded_scores=has_bounded_scores)


def test_a_tpu_takes_no_maximum_where_scores_have_a_bound():
    picked = pick_for_tpu(has_bounded_scores=True)
    settings = {"window_size": 3, "tiles": BOUNDED_TILES["TPU v6 lite"]}
    assert (picked.name, picked.attend.func) == ("bounded_attention", bounded_attention)
    assert picked.attend.keywords == settings


def test_a_tpu_runs_splash_where_scores_have_no_bound():
    picked = pick_for_tpu(has_bounded_scores=False)
    splash = picked.attend.keywords["attention"]
    assert (picked.name, splash.func) == ("splash_attention", splash_attention)
    assert splash.keywords == {"window_size": 3, "tiles": SPLASH_TILES["TPU v6 lite"]}


@pytest.mark.parametrize(("platform", "is_asked"), [("tpu", True), ("gpu", False), ("cpu", False)])
def test_only_the_kernel_of_a_tpu_depends_on_a_bound(platform: str, is_asked: bool):
    device: Any = SimpleNamespace(platform=platform)
    assert uses_bounds(device) is is_asked
