"""The difference of tensors, in numbers that were worked out by hand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from stages.tensors import difference
from stages.tensors.difference import Difference, measure, measure_files
from stages.tensors.files import write_tensors


def test_equal_values_have_no_difference():
    values = np.arange(6, dtype=np.float32)
    assert measure([(values, values)]) == Difference(6, 0, 0.0, math.inf)


def test_psnr_is_of_the_range_of_the_first():
    """Range 4, squares 1 + 1 of five: 10 log10(16 / (2 / 5)) = 16.02."""
    first = np.array([0, 1, 2, 3, 4], np.float32)
    found = measure([(first, first + np.array([0, 1, 0, 0, -1], np.float32))])
    assert found == Difference(5, 2, 1.0, 10 * math.log10(40))


def test_a_range_can_be_given():
    levels = np.zeros(4, np.uint8)
    assert measure([(levels, levels + np.uint8(255))], 255.0).psnr_db == 0


def test_pieces_add_up():
    first, second = np.linspace(-1, 1, 10), np.linspace(-1, 1.5, 10)
    parts, whole = measure([(first[:3], second[:3]), (first[3:], second[3:])]), measure([(first, second)])
    assert (parts.num_values, parts.num_unequal, parts.max_abs) == (10, 9, 0.5)
    assert parts.psnr_db == pytest.approx(whole.psnr_db)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_equals_itself_alone(value: float):
    odd, plain = np.array([value, 1.0]), np.array([0.0, 1.0])
    assert measure([(odd, odd)]) == Difference(2, 0, 0.0, math.inf)
    for pair in ((odd, plain), (plain, odd)):
        assert measure([pair]) == Difference(2, 1, math.inf, -math.inf)


def test_no_values_are_equal():
    assert measure([]) == Difference(0, 0, 0.0, math.inf)


def test_each_tensor_of_two_files_is_compared_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(difference, "_VALUES_AT_ONCE", 7)
    draw = np.random.default_rng(0)
    latents = draw.standard_normal((1, 32, 2, 3, 3)).astype(ml_dtypes.bfloat16)
    mask = np.ones((1, 10), np.float32)
    write_tensors(tmp_path / "one", {"latents": latents, "mask": mask, "spare": mask})
    write_tensors(tmp_path / "other", {"latents": latents + np.ones_like(latents), "mask": mask, "new": mask})
    found = measure_files(tmp_path / "one", tmp_path / "other")
    assert found["mask"] == Difference(10, 0, 0.0, math.inf)
    assert (found["spare"], found["new"]) == ("only in the first", "only in the second")
    latents_found, whole = found["latents"], measure([(latents, latents + np.ones_like(latents))])
    assert isinstance(latents_found, Difference)
    assert latents_found.num_unequal == whole.num_unequal == latents.size
    assert latents_found.max_abs == whole.max_abs
    assert latents_found.psnr_db == pytest.approx(whole.psnr_db)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (np.ones((1, 2), np.float32), np.ones((2, 1), np.float32), "F32 [1, 2] and F32 [2, 1]"),
        (np.ones((1, 2), np.float32), np.ones((2, 1), np.float16), "F32 [1, 2] and F16 [2, 1]"),
        (np.ones(2, np.int64), np.ones(2, np.int64), "not measured: its dtype is I64, not F32, F16 or BF16"),
        (np.ones(2, np.float32), np.ones(2, np.int64), "not measured: its dtype is I64, not F32, F16 or BF16"),
    ],
)
def test_tensors_of_another_kind_are_not_measured(tmp_path: Path, one: np.ndarray, other: np.ndarray, reason: str):
    write_tensors(tmp_path / "one", {"x": one})
    write_tensors(tmp_path / "other", {"x": other})
    assert measure_files(tmp_path / "one", tmp_path / "other") == {"x": reason}


def run(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.tensors.difference", *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.processes
def test_as_a_program_it_prints_json(tmp_path: Path):
    write_tensors(tmp_path / "one", {"x": np.zeros(3, np.float32)})
    write_tensors(tmp_path / "other", {"x": np.ones(3, np.float32)})
    assert json.loads(run(tmp_path / "one", tmp_path / "one").stdout) == {
        "x": {"num_values": 3, "num_unequal": 0, "max_abs": 0.0, "psnr_db": math.inf}
    }


@pytest.mark.processes
def test_as_a_program_it_says_what_it_cannot_read(tmp_path: Path):
    (tmp_path / "one").write_bytes(b"no tensors")
    ended = run(tmp_path / "one", tmp_path / "one")
    assert ended.returncode == 1
    assert ended.stderr.startswith("no safetensors file that can be read (")
    assert ended.stderr.count("\n") == 1


def test_values_of_two_dtypes_are_compared_as_numbers(tmp_path: Path):
    values = np.linspace(-3, 3, 5000, dtype=np.float32)
    write_tensors(tmp_path / "one", {"x": values})
    write_tensors(tmp_path / "other", {"x": values.astype(ml_dtypes.bfloat16)})
    (found,) = measure_files(tmp_path / "one", tmp_path / "other").values()
    assert isinstance(found, Difference)
    assert found.num_unequal > 4000
    assert 0 < found.max_abs <= 2**-8 * 2  # half a step of bfloat16 from 2 to 4
