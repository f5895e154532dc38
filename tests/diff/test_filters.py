"""PSNR, SSIM and XPSNR by FFmpeg's filters, against their formulas in numpy."""

import math

import numpy as np
import pytest

from stages.diff.filters import METRICS, Filters
from tests.diff.made_videos import changed, noise

STEP = 2 / 4095  # of 12 bits, on the scale from -1 to 1


def measure(one: np.ndarray, other: np.ndarray) -> list[dict[str, float]]:
    """The metrics of each pair of frames."""
    filters = Filters(*one.shape[1:3])
    return [filters.measure(*pair) for pair in zip(one.astype(np.float32), other.astype(np.float32), strict=True)]


def luma(frames: np.ndarray) -> np.ndarray:
    """In 0..1, by ITU-R BT.709."""
    return (frames @ [0.2126, 0.7152, 0.0722] + 1) / 2


def ssim_of(one: np.ndarray, other: np.ndarray) -> float:
    """Of one plane, in 0..1: over windows of 8 x 8 at each fourth pixel, with the constants of Wang et al. 2004."""
    constants = 0.01**2, 0.03**2
    found = []
    for top in range(0, one.shape[0] - 7, 4):
        for left in range(0, one.shape[1] - 7, 4):
            first, second = (each[top : top + 8, left : left + 8] for each in (one, other))
            means, variances = (first.mean(), second.mean()), (first.var(ddof=1), second.var(ddof=1))
            covariance = ((first - means[0]) * (second - means[1])).sum() / 63
            found.append(
                (2 * means[0] * means[1] + constants[0])
                * (2 * covariance + constants[1])
                / ((means[0] ** 2 + means[1] ** 2 + constants[0]) * (sum(variances) + constants[1]))
            )
    return float(np.mean(found))


def test_psnr_is_that_of_the_formula():
    one = noise()
    other = one + np.random.default_rng(1).normal(0, 0.02, one.shape)
    for found, first, second in zip(measure(one, other), one, other, strict=True):
        squared = np.mean(np.square(first - second)) / 4  # on a scale of 1
        assert found["psnr"] == pytest.approx(-10 * math.log10(squared), abs=0.01)  # 12 bits add 1e-8 to 1e-4


def test_ssim_is_that_of_the_formula():
    one = noise()
    other = one + np.random.default_rng(1).normal(0, 0.1, one.shape)
    for found, first, second in zip(measure(one, other), luma(one), luma(other), strict=True):
        assert found["ssim"] == pytest.approx(ssim_of(first, second), abs=1e-4)  # FFmpeg's sums are of whole numbers


def test_xpsnr_of_equal_weights_is_psnr_with_another_constant():
    """Where texture is the same everywhere, each block has one weight, and halving the error adds 6.02 dB."""
    one = np.tile(noise()[:, :8, :8], (1, 4, 8, 1))
    far, near = (measure(one, one + sign * 64 * STEP / 2)[-1]["xpsnr"] for sign in (2, 1))
    assert near - far == pytest.approx(20 * math.log10(2), abs=0.05)


def test_xpsnr_forgives_more_where_there_is_texture():
    flat, rough = np.zeros((3, 64, 64, 3)), np.random.default_rng(0).uniform(-0.8, 0.8, (3, 64, 64, 3))
    on_flat, on_rough = (measure(frames, frames + 0.05)[-1] for frames in (flat, rough))
    assert on_flat["psnr"] == pytest.approx(on_rough["psnr"], abs=0.1)
    assert on_rough["xpsnr"] > on_flat["xpsnr"] + 3


def test_equal_frames_are_infinitely_alike():
    found = measure(noise(), changed(noise(), first=3, by=0.05))
    assert [metric["psnr"] for metric in found[:3]] == [math.inf] * 3
    assert [metric["xpsnr"] for metric in found[:3]] == [math.inf] * 3
    assert [metric["ssim"] for metric in found[:3]] == [1.0] * 3
    assert all(math.isfinite(metric["psnr"]) for metric in found[3:])


@pytest.mark.parametrize(
    ("height", "width", "names"),
    [(32, 64, [*METRICS]), (32, 48, ["psnr", "ssim"]), (8, 8, ["psnr", "ssim"]), (4, 1024, ["psnr"]), (1, 1, ["psnr"])],
)
def test_pictures_that_are_too_small_for_a_metric_are_measured_without(height: int, width: int, names: list[str]):
    frames = np.zeros((1, height, width, 3))
    assert [*measure(frames, frames + 0.5)[0]] == names


def test_what_is_no_number_counts_as_black():
    one, other = noise(), noise()
    one[:, 0, 0], other[:, 0, 0] = np.nan, -1
    assert {metric["psnr"] for metric in measure(one, other)} == {math.inf}


def test_values_beyond_the_scale_count_as_its_ends():
    one, other = noise(), noise()
    one[:, 0, 0], other[:, 0, 0] = 1, 5
    assert {metric["psnr"] for metric in measure(one, other)} == {math.inf}
