"""What the metrics of frames come to."""

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.diff.frame_difference import FrameDifference, Metric, measure_frame_files
from tests.diff.made_videos import SHAPE, changed, gray, noise

SIZE = SHAPE[:3]


def test_the_mean_psnr_is_that_of_the_mean_squared_error():
    errors = [0.01, 0.04]
    metric = Metric("psnr", [-10 * math.log10(error) for error in errors])
    assert metric.mean == pytest.approx(-10 * math.log10(0.025))


def test_the_mean_xpsnr_is_that_of_the_mean_distance():
    metric = Metric("xpsnr", [-20 * math.log10(distance) for distance in (0.1, 0.3)])
    assert metric.mean == pytest.approx(-20 * math.log10(0.2))


def test_the_mean_ssim_is_the_mean():
    assert Metric("ssim", [0.5, 1.0]).mean == 0.75


@pytest.mark.parametrize("name", ["psnr", "xpsnr"])
def test_equal_frames_do_not_make_the_mean_infinite(name: str):
    assert math.isfinite(Metric(name, [math.inf, 30.0]).mean)
    assert Metric(name, [math.inf, math.inf]).mean == math.inf


def test_the_worst_is_the_lowest_and_the_first_of_equals():
    assert Metric("ssim", [0.9, 0.5, 0.7, 0.5]).worst == (0.5, 1)


def test_infinite_is_null_in_json():
    found = FrameDifference((SIZE, SIZE), 1, 0.5, [Metric("psnr", [math.inf, 6.0])]).to_json()
    assert found["psnr"]["frames"] == [None, 6.0]
    assert found["psnr"]["worst"] == 6.0
    assert found["first_differing_frame"] == 1


def test_of_other_sizes_only_these_are_known():
    found = FrameDifference((SIZE, (9, 32, 64)))
    assert not found.is_measured
    assert [*found.to_json()] == ["sizes"]


def write(path: Path, frames: np.ndarray) -> Path:
    save_file({"frames": frames[None].astype(ml_dtypes.bfloat16)}, path)
    return path


@pytest.mark.processes
def test_files_are_measured_in_a_process(tmp_path: Path):
    files = write(tmp_path / "one", noise()), write(tmp_path / "other", changed(noise(), first=2, by=0.0625))
    found, fault = measure_frame_files(files, tmp_path)
    assert fault == ""
    assert found is not None
    assert (found.first, found.sizes) == (2, (SIZE, SIZE))
    assert found.max_abs == pytest.approx(0.0625, abs=0.01)  # bfloat16 rounds both
    assert [metric.name for metric in found.metrics] == ["psnr", "ssim", "xpsnr"]
    found, _ = measure_frame_files((files[0], write(tmp_path / "short", gray()[:1])), tmp_path)
    assert found == FrameDifference((SIZE, (1, 32, 64)))


@pytest.mark.processes
def test_what_cannot_be_read_is_said(tmp_path: Path):
    (tmp_path / "cut").write_bytes(b"cut")
    found, fault = measure_frame_files((write(tmp_path / "one", gray()), tmp_path / "cut"), tmp_path)
    assert found is None
    assert fault.startswith(f"{tmp_path}/cut: cannot read tensor `frames`")
