"""Payloads are measured by the program of their stage, or as tensors."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.pipeline.stage import Program, Stage
from stages.run.measuring import describe_difference, measure_payloads, run_measurement
from tests.builders import PIPELINE
from tests.run.gray_videos import write_gray

pytestmark = pytest.mark.processes


def program_of(stage: Stage) -> Program:
    assert isinstance(stage.program, Program)
    return stage.program


def write_latents(path: Path, value: float) -> Path:
    save_file({"latents": np.full((1, 32, 1, 2, 2), value, np.float32)}, path)
    return path


def test_tensors_are_measured_value_by_value(tmp_path: Path):
    files = write_latents(tmp_path / "one", 1.0), write_latents(tmp_path / "other", 1.5)
    found, fault = measure_payloads(PIPELINE["denoise"], program_of(PIPELINE["denoise"]), files, tmp_path)
    assert fault == ""
    latents = found["latents"]
    assert not isinstance(latents, str)
    assert (latents["num_values"], latents["num_unequal"], latents["max_abs"]) == (128, 128, 0.5)


def test_a_program_with_a_module_of_its_own_measures_what_it_makes(tmp_path: Path):
    files = write_gray(tmp_path / "one.mp4", -1), write_gray(tmp_path / "other.mp4", 1)
    found, fault = measure_payloads(PIPELINE["export"], program_of(PIPELINE["export"]), files, tmp_path)
    frames = found["frames"]
    assert not isinstance(frames, str)
    assert (frames["max_abs"], fault) == (255, "")


def test_what_no_program_measures_is_said(tmp_path: Path):
    files = tmp_path / "one.mp4", tmp_path / "other.mp4"
    found = measure_payloads(PIPELINE["export"], Program("stages.from_file", "disk"), files, tmp_path)
    assert found == ({}, "no program measures the difference of .mp4 files")


def test_a_file_that_cannot_be_read_is_said_by_the_program(tmp_path: Path):
    files = write_latents(tmp_path / "one", 1.0), tmp_path / "cut"
    files[1].write_bytes(b"cut")
    found, fault = run_measurement("stages.tensors.difference", files, tmp_path)
    assert (found, fault) == (None, "no safetensors file that can be read (it has 3 bytes, which is no header)")


def test_what_is_no_json_is_said(tmp_path: Path):
    (tmp_path / "talks.py").write_text("print('hello')")
    _, fault = run_measurement("talks", (tmp_path, tmp_path), tmp_path)
    assert fault.startswith("talks has to print one JSON object and nothing else: ")


def test_a_difference_in_words():
    difference = {"num_values": 2000, "num_unequal": 1000, "max_abs": 0.5, "psnr_db": 6.02}
    assert describe_difference(difference) == "1,000 of 2,000 values differ, by 0.5 at most, PSNR 6.0 dB"
