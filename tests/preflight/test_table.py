"""The table for people."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from rich.console import Console

from stages.pipeline.stages import Pipeline
from stages.preflight.answers import Alternative, Row
from stages.preflight.questions import ask, describe_target
from stages.preflight.survey import Survey
from stages.preflight.table import print_table, show_progress
from stages.request.params import load_params
from tests.preflight_builders import GIB, build_figures, write_project


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    params = load_params(write_project(tmp_path), {}, Pipeline())
    questions = ask(
        params.videos["demo"], tmp_path, describe_target("v5e:2x4", params.machine), mesh=params.machine.mesh
    )
    run = {"compile_s": 12.34, "was_loaded": False}
    return [Row(question, ("demo",), build_figures(), run) for question in questions]


def shown(
    rows: list[Row], topology: str = "v5e:2x4", not_compiled: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> list[str]:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    print_table(topology, Survey(tuple(rows), not_compiled), console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_each_program_is_a_line_and_what_it_sends_another(rows: list[Row]):
    assert shown(rows[:1]) == [
        "v5e:2x4: TPU v5 lite",
        "stage    video  tokens  mesh   weights  state  temp.  sum GiB     of  fits  TFLOP  compile"
        "    at least    expected",
        "denoise  demo       18  2x4x1     2.00   0.50   1.00     3.50  16.00  yes   8,000   12.3 s"
        "  1 min 42 s  3 min 20 s",
        "denoise of demo sends per step and device: 216 all-to-all (3.000 GiB)",
        "GiB per device. TFLOP: of a step or latent frame, all devices together. at least: a run at the chips' peak.",
        "expected: a run by the compiler's schedule, which nobody has measured.",
    ]


def test_the_table_is_no_wider_than_120_columns(rows: list[Row]):
    many = [replace(row, videos=tuple(f"video-{index}" for index in range(30))) for row in rows]
    assert max(map(len, shown(many))) <= 120


def test_in_a_file_or_a_pipe_each_line_is_whole(rows: list[Row], capsys: pytest.CaptureFixture[str]):
    names = tuple(f"video-{index}" for index in range(30))
    print_table("v5e:2x4", Survey(tuple(replace(row, videos=names) for row in rows), {}))
    assert sum(", ".join(names) in line for line in capsys.readouterr().out.splitlines()) >= len(rows)


def test_what_does_not_fit_stands_with_what_does(rows: list[Row]):
    figures = build_figures(temporaries=20)
    row = replace(rows[0], figures=figures, alternatives=(Alternative("denoise.num_frames=5", 15 * GIB),))
    lines = shown([row])
    assert "NO" in lines[2]
    assert lines[-1] == "denoise of demo does not fit. This fits, compiled: denoise.num_frames=5 (15.00 GiB)."


def test_where_nothing_near_fits_a_larger_slice_is_the_fix(rows: list[Row]):
    lines = shown([replace(rows[0], figures=build_figures(weights=20))])
    assert lines[-1] == "denoise of demo does not fit, and nothing near it fits. Use a larger slice (--topology)."


def test_without_a_program_there_is_nothing_to_compile():
    assert shown([]) == ["nothing to compile"]


def test_where_no_terminal_is_each_thing_is_a_line_on_stderr(capfd: pytest.CaptureFixture[str]):
    with show_progress() as observe:
        observe("denoise of demo: [compiling]")
    assert capfd.readouterr() == ("", "denoise of demo: [compiling]\n")


def test_where_the_schedule_says_nothing_no_time_is_expected(rows: list[Row]):
    line = shown([replace(rows[0], figures=build_figures(expected=None))])[2]
    assert line.endswith("1 min 42 s")


def test_what_chips_send_is_not_known_of_a_program_that_cannot_be_read(rows: list[Row]):
    unread = replace(rows[0], figures=build_figures(collectives=None))
    assert "denoise of demo sends per step and device: not known" in shown([unread])


def test_decode_of_several_hosts_shows_the_slice_of_one(rows: list[Row]):
    assert "  2x4x1 of v5e:2x4  " in shown(rows[1:], topology="v5e:4x4")[2]


def test_what_a_run_has_kept_is_loaded_and_took_no_time_to_compile(rows: list[Row]):
    assert "   loaded  " in shown([replace(rows[0], run={"compile_s": 0.05, "was_loaded": True})])[2]


def test_the_compilers_reason_stands_with_a_program_that_it_refuses(rows: list[Row]):
    memory = {"weights": 2**30, "state": 2**30, "temporaries": None}
    refused = replace(rows[0], figures=build_figures(memory=memory, fits=False, refusal="no [vmem]", collectives=None))
    lines = shown([refused])
    assert "?" in lines[2]
    assert lines[-1] == (
        "The compiler refuses denoise of demo (no [vmem]), and nothing near it fits. Use a larger slice (--topology)."
    )


def test_a_row_without_an_answer_is_its_error(rows: list[Row]):
    failed = replace(rows[0], figures=None, run={}, error="denoise of demo: [killed]")
    assert shown([failed]) == ["denoise of demo: [killed]"]
    assert shown([failed, rows[1]])[-1] == "denoise of demo: [killed]"


def test_a_decoder_that_is_not_compiled_is_a_line(rows: list[Row]):
    line = "decode of demo, other: by diffusers, which is not compiled"
    assert line in shown(rows[:1], not_compiled={"diffusers": ("demo", "other")})
    assert shown([], not_compiled={"diffusers": ("demo", "other")}) == ["nothing to compile", line]


def test_where_settings_could_not_be_tried_nothing_is_said_of_them(rows: list[Row]):
    failed = replace(rows[0], figures=build_figures(weights=20), error="denoise of demo with fewer frames: killed")
    assert shown([failed])[-2:] == [
        "denoise of demo does not fit, and settings near it could not all be tried:",
        "denoise of demo with fewer frames: killed",
    ]
