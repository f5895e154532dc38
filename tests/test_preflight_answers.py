"""What the answers mean."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from preflight_builders import GIB, build_figures, write_project

from stages.keys import JsonValue
from stages.params import Params, load_params
from stages.preflight_answers import Row, WayOut, propose
from stages.preflight_questions import ask, describe_target


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return load_params(write_project(tmp_path), {})


def build_row(params: Params, root: Path, stage: str = "denoise", **figures: JsonValue) -> Row:
    questions = ask(params.videos["demo"], root, describe_target("v5e:2x4", params.machine), mesh=params.machine.mesh)
    question = next(question for question in questions if question.stage == stage)
    return Row(question, ("demo",), build_figures(**figures), {"compile_s": 12.3})


def ways(row: Row, params: Params, num: int = 2) -> list[list[str]]:
    found = propose(row, params.videos["demo"], params.machine)
    return [[change.setting for change in islice(way, num)] for way in found]


def test_the_json_of_a_row_is_an_interface(params: Params, tmp_path: Path):
    row = replace(build_row(params, tmp_path, limit=3), ways_out=(WayOut("denoise.num_frames=5", 2 * GIB),))
    assert row.to_json() == {
        "stage": "denoise",
        "tokens": 18,
        "weights_gib": 2.0,
        "state_gib": 0.5,
        "temporaries_gib": 1.0,
        "total_gib": 3.5,
        "limit_gib": 3.0,
        "fits": False,
        "flops": 8e15,
        "compile_s": 12.3,
        "videos": ["demo"],
        "device_kind": "TPU v5 lite",
        "num_devices": 8,
        "mesh": "2x4x1",
        "num_calls": 20,
        "least_s": 20 * 1e15 / 197e12,
        "collectives": [{"kind": "all-to-all", "count": 216, "size_bytes": 3 * GIB}],
        "ways_out": [{"setting": "denoise.num_frames=5", "total_gib": 2.0}],
    }


def test_little_arithmetic_is_bound_by_reading_weights_and_state(params: Params, tmp_path: Path):
    row = build_row(params, tmp_path, flops=1.0)
    assert row.least_s == pytest.approx(20 * 2.5 * GIB / 819e9)


def test_of_a_device_without_known_peak_no_time_is_said(params: Params, tmp_path: Path):
    assert build_row(params, tmp_path, device_kind="cpu").least_s is None


def test_a_step_that_does_not_fit_is_shortened_to_what_its_growth_lets_fit(tmp_path: Path):
    write_project(tmp_path)
    params = load_params(tmp_path, {"denoise.num_frames": "241"})  # 61 latent frames
    row = build_row(params, tmp_path, weights=2, state=1, temporaries=19, limit=16)
    assert ways(row, params) == [["denoise.num_frames=161", "denoise.num_frames=153"]]  # 61 * (0.97 * 16 - 2) / 20


def test_a_chunk_that_does_not_fit_is_tiled_or_shortened(params: Params, tmp_path: Path):
    row = build_row(params, tmp_path, "decode", weights=2, state=4, temporaries=4, limit=8)
    assert ways(row, params) == [["decode.enable_tiling=true"], ["denoise.num_frames=5", "denoise.num_frames=1"]]


def test_a_chosen_mesh_gives_way_to_the_best_one(tmp_path: Path):
    write_project(tmp_path)
    params = load_params(tmp_path, {"machine.mesh": "1x1x8"})
    assert ways(build_row(params, tmp_path, limit=1), params) == [["machine.mesh=auto"], []]


def test_where_the_weights_alone_are_too_large_no_length_fits(params: Params, tmp_path: Path):
    assert ways(build_row(params, tmp_path, weights=20), params) == [[]]
