"""What latents in the middle of a denoise are about to become."""

import numpy as np
import pytest

from stages.previews.estimate import estimate_clean

NOISE, CLEAN = (np.random.default_rng(seed).normal(size=(2, 3, 4, 5)).astype(np.float32) for seed in (0, 1))


def mix(sigma: float) -> np.ndarray:
    return (sigma * NOISE + (1 - sigma) * CLEAN).astype(np.float32)


@pytest.mark.parametrize(("before", "after"), [(1.0, 0.9), (1.0, 0.2), (0.5, 0.4)])
def test_a_straight_way_leads_to_its_end(before: float, after: float):
    estimate = estimate_clean(mix(before), mix(after), sigma_before=before, sigma_after=after)
    np.testing.assert_allclose(estimate, CLEAN, atol=1e-5)  # float32, divided by a change of 0.1


def test_the_last_latents_are_what_they_are():
    estimate = estimate_clean(mix(0.0), mix(0.0), sigma_before=0.0, sigma_after=0.0)
    np.testing.assert_array_equal(estimate, mix(0.0))
