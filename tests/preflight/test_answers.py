"""What the answers mean."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from stages.keys import JsonValue
from stages.pipeline.stages import Pipeline
from stages.preflight.answers import Alternative, Row, propose
from stages.preflight.questions import ask, describe_target
from stages.request.params import Params, load_params
from tests.preflight_builders import GIB, build_figures, write_project


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return load_params(write_project(tmp_path), {}, Pipeline())


def build_row(params: Params, root: Path, stage: str = "denoise", **figures: JsonValue) -> Row:
    questions = ask(params.videos["demo"], root, describe_target("v5e:2x4", params.machine), mesh=params.machine.mesh)
    question = next(question for question in questions if question.stage == stage)
    return Row(question, ("demo",), build_figures(**figures), {"compile_s": 12.3, "was_loaded": False})


def candidates(row: Row, params: Params, num: int = 2) -> list[list[str]]:
    found = propose(row, params.videos["demo"], params.machine)
    return [[change.setting for change in islice(changes, num)] for changes in found]


def test_the_json_of_a_row_is_an_interface(params: Params, tmp_path: Path):
    row = replace(build_row(params, tmp_path, limit=3), alternatives=(Alternative("denoise.num_frames=5", 2 * GIB),))
    assert row.to_json() == {
        "stage": "denoise",
        "tokens": 18,
        "topology": "v5e:2x4",
        "weights_gib": 2.0,
        "state_gib": 0.5,
        "temporaries_gib": 1.0,
        "total_gib": 3.5,
        "limit_gib": 3.0,
        "fits": False,
        "refusal": "",
        "flops": 8e15,
        "compile_s": 12.3,
        "was_loaded": False,
        "videos": ["demo"],
        "device_kind": "TPU v5 lite",
        "num_devices": 8,
        "mesh": "2x4x1",
        "num_calls": 20,
        "least_s": 20 * 1e15 / 197e12,
        "expected_s": 20 * 10.0,
        "expected_of_call": {"compute_s": 4.0, "kernels_s": 5.0, "chips_s": 0.75, "memory_s": 0.25},
        "collectives": [{"kind": "all-to-all", "count": 216, "size_bytes": 3 * GIB}],
        "alternatives": [{"setting": "denoise.num_frames=5", "total_gib": 2.0}],
        "error": "",
    }


def test_a_row_without_an_answer_has_the_same_fields(params: Params, tmp_path: Path):
    row = build_row(params, tmp_path)
    failed = replace(row, figures=None, run={}, error="its process was killed")
    assert failed.to_json().keys() == row.to_json().keys()
    assert (failed.fits, failed.total_bytes, failed.least_s) == (False, None, None)
    assert failed.to_json()["error"] == "its process was killed"


def test_the_first_call_counts_once_and_the_later_ones_as_often_as_there_are(params: Params, tmp_path: Path):
    first, later = {"flops": 197e12, "read_bytes": 1}, {"flops": 2 * 197e12, "read_bytes": 1}
    assert build_row(params, tmp_path, first=first, later=later).least_s == pytest.approx(1 + 19 * 2)


def test_little_arithmetic_is_bound_by_what_is_read(params: Params, tmp_path: Path):
    first, later = {"flops": 1, "read_bytes": 819e9}, {"flops": 1, "read_bytes": 3 * 819e9}
    assert build_row(params, tmp_path, first=first, later=later).least_s == pytest.approx(1 + 19 * 3)


def test_of_a_device_without_known_peak_no_time_is_said(params: Params, tmp_path: Path):
    assert build_row(params, tmp_path, device_kind="cpu").least_s is None


def test_a_step_that_does_not_fit_is_shortened_to_what_its_growth_lets_fit(tmp_path: Path):
    write_project(tmp_path)
    params = load_params(tmp_path, {"denoise.num_frames": "241"}, Pipeline())  # 61 latent frames
    row = build_row(params, tmp_path, weights=2, state=1, temporaries=19, limit=16)
    assert candidates(row, params) == [
        ["denoise.num_frames=161", "denoise.num_frames=153"]
    ]  # 61 * (0.97 * 16 - 2) / 20


def test_a_chunk_that_does_not_fit_is_tiled_or_shortened(params: Params, tmp_path: Path):
    row = build_row(params, tmp_path, "decode", weights=2, state=4, temporaries=4, limit=8)
    assert candidates(row, params) == [["decode.enable_tiling=true"], ["denoise.num_frames=5", "denoise.num_frames=1"]]


def test_a_chunk_is_shortened_by_what_grows(tmp_path: Path):
    write_project(tmp_path)
    params = load_params(tmp_path, {"denoise.num_frames": "241"}, Pipeline())  # 61 latent frames
    row = build_row(params, tmp_path, "decode", weights=2, state=6, temporaries=9, limit=16, growing_bytes=6 * GIB)
    _, shorter = candidates(row, params, num=1)
    assert shorter == ["denoise.num_frames=177"]  # 61 * (0.97 * 16 - 11) / 6: 45 latent frames


def test_where_what_does_not_grow_is_too_large_no_length_fits(params: Params, tmp_path: Path):
    row = build_row(params, tmp_path, "decode", weights=2, state=6, temporaries=9, limit=16, growing_bytes=GIB)
    assert candidates(row, params) == [["decode.enable_tiling=true"], []]


def test_of_a_program_without_a_sum_no_length_is_guessed(params: Params, tmp_path: Path):
    memory = {"weights": 1, "state": 1, "temporaries": None}
    row = build_row(params, tmp_path, memory=memory, growing_bytes=None, fits=False, refusal="vmem")
    assert row.total_bytes is None
    assert candidates(row, params) == [[]]


def test_a_chosen_mesh_gives_way_to_the_best_one(tmp_path: Path):
    write_project(tmp_path)
    params = load_params(tmp_path, {"machine.mesh": "1x1x8"}, Pipeline())
    assert candidates(build_row(params, tmp_path, limit=1), params) == [["machine.mesh=auto"], []]


def test_where_the_weights_alone_are_too_large_no_length_fits(params: Params, tmp_path: Path):
    assert candidates(build_row(params, tmp_path, weights=20), params) == [[]]
