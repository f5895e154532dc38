"""The frames of two files."""

import json
import math
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.diff.frames import measure_frames
from tests.diff.made_videos import changed, gray, noise


def write(path: Path, frames: np.ndarray) -> Path:
    save_file({"frames": frames[None].astype(ml_dtypes.bfloat16)}, path)
    return path


def test_the_first_frame_that_differs_is_named(tmp_path: Path):
    other = gray()
    other[3, 5, 7, 1] = 0.25
    found = measure_frames(write(tmp_path / "one", gray()), write(tmp_path / "other", other))
    assert (found["first"], found["max_abs"]) == (3, [0, 0, 0, 0.25, 0])


def test_equal_frames_do_not_differ(tmp_path: Path):
    found = measure_frames(write(tmp_path / "one", noise()), write(tmp_path / "other", noise()))
    assert (found["first"], set(found["psnr"])) == (None, {math.inf})


def test_what_12_bits_do_not_show_differs_all_the_same(tmp_path: Path):
    other = gray()
    other[1] = 2.0**-20
    found = measure_frames(write(tmp_path / "one", gray()), write(tmp_path / "other", other))
    assert (found["first"], found["max_abs"][1], found["psnr"][1]) == (1, 2.0**-20, math.inf)


def test_no_number_differs_from_a_number_and_not_from_itself(tmp_path: Path):
    one, other = gray(), gray()
    one[:, 0, 0, 0] = np.nan
    other[1:, 0, 0, 0] = np.nan
    found = measure_frames(write(tmp_path / "one", one), write(tmp_path / "other", other))
    assert found["max_abs"] == [math.inf, 0, 0, 0, 0]


def test_each_frame_has_each_metric(tmp_path: Path):
    found = measure_frames(write(tmp_path / "one", noise()), write(tmp_path / "o", changed(noise(), first=1, by=0.05)))
    assert [len(found[name]) for name in ("psnr", "ssim", "xpsnr")] == [5, 5, 5]


def test_frames_too_small_for_xpsnr_have_none(tmp_path: Path):
    small = gray()[:, :16]
    found = measure_frames(write(tmp_path / "one", small), write(tmp_path / "other", small))
    assert (found["xpsnr"], found["ssim"]) == (None, [1.0] * 5)


@pytest.mark.parametrize("cut", [np.s_[:3], np.s_[:, :16], np.s_[:, :, :32]])
def test_frames_of_another_number_or_size_are_not_compared(tmp_path: Path, cut: slice):
    found = measure_frames(write(tmp_path / "one", gray()), write(tmp_path / "other", gray()[cut]))
    assert [*found] == ["sizes"]
    assert [list(size) for size in found["sizes"]] == [[5, 32, 64], list(gray()[cut].shape[:3])]


@pytest.mark.processes
def test_as_a_program_it_prints_json_or_what_is_wrong(tmp_path: Path):
    one = write(tmp_path / "one", gray())
    (tmp_path / "cut").write_bytes(one.read_bytes()[:-1])
    command = [sys.executable, "-m", "stages.diff.frames", one]
    whole = subprocess.run([*command, one], capture_output=True, text=True, check=True)
    assert json.loads(whole.stdout)["first"] is None
    cut = subprocess.run([*command, tmp_path / "cut"], capture_output=True, text=True, check=False)
    assert (cut.returncode, cut.stdout) == (1, "")
    assert cut.stderr.startswith(f"{tmp_path}/cut: cannot read tensor `frames`")
