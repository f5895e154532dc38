"""The table for people."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from preflight_builders import GIB, build_figures, write_project
from rich.console import Console

from stages.commands.preflight_table import print_table, show_progress
from stages.params import load_params
from stages.preflight_answers import Row, WayOut
from stages.preflight_questions import ask, describe_target


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    params = load_params(write_project(tmp_path), {})
    questions = ask(
        params.videos["demo"], tmp_path, describe_target("v5e:2x4", params.machine), mesh=params.machine.mesh
    )
    return [Row(question, ("demo",), build_figures(), {"compile_s": 12.34}) for question in questions]


def shown(rows: list[Row], topology: str = "v5e:2x4") -> list[str]:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    print_table(topology, rows, console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_each_program_is_a_line_and_what_it_sends_another(rows: list[Row]):
    assert shown(rows[:1]) == [
        "v5e:2x4: TPU v5 lite",
        "stage    video  tokens  mesh   weights  state  temp.  sum GiB     of  fits  TFLOP  compile  run, at least",
        "denoise  demo       18  2x4x1     2.00   0.50   1.00     3.50  16.00  yes   8,000   12.3 s     1 min 42 s",
        "denoise of demo sends per call and chip: 216 all-to-all (3.000 GiB)",
        "GiB per chip. TFLOP: of a step or a latent frame, all chips together. run, at least: all calls at the peak.",
    ]


def test_the_table_is_no_wider_than_120_columns(rows: list[Row]):
    many = [replace(row, videos=tuple(f"video-{index}" for index in range(30))) for row in rows]
    assert max(map(len, shown(many))) <= 120


def test_what_does_not_fit_stands_with_what_does(rows: list[Row]):
    figures = build_figures(temporaries=20)
    row = replace(rows[0], figures=figures, ways_out=(WayOut("denoise.num_frames=5", 15 * GIB),))
    lines = shown([row])
    assert "NO" in lines[2]
    assert lines[-1] == "denoise of demo does not fit. This does, compiled: denoise.num_frames=5 (15.00 GiB)."


def test_where_nothing_near_fits_a_larger_slice_is_the_mend(rows: list[Row]):
    lines = shown([replace(rows[0], figures=build_figures(weights=20))])
    assert lines[-1] == "denoise of demo does not fit, and nothing near it does. Use a larger slice (--topology)."


def test_without_a_program_there_is_nothing_to_compile():
    assert shown([]) == ["nothing to compile"]


def test_where_no_terminal_is_each_thing_is_a_line_on_stderr(capfd: pytest.CaptureFixture[str]):
    with show_progress() as observe:
        observe("denoise of demo: [compiling]")
    assert capfd.readouterr() == ("", "denoise of demo: [compiling]\n")


def test_what_chips_send_is_not_known_of_a_program_that_cannot_be_read(rows: list[Row]):
    unread = replace(rows[0], figures={**rows[0].figures, "collectives": None})
    assert "denoise of demo sends per call and chip: not known" in shown([unread])
