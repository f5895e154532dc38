"""How a board looks on terminals of several sizes."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from stages.run.board import Board, Ending
from stages.run.board_view import Terminal, draw
from tests.run.boards import DENOISES, ENCODE, make, phase, planned, step


def shown(board: Board, width: int = 80, height: int = 24, now: float = 100.0, *, has_bars: bool = True) -> str:
    return "\n".join(line.plain for line in draw(board, Terminal(width, height, has_bars=has_bars), now))


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """In the middle of the second denoise, with a preview; the first one has failed, and a third waits."""
    monkeypatch.chdir(tmp_path)
    board = planned(num_at_once=2)
    make(board, ENCODE, 0.0, 60.0)
    make(board, DENOISES[0], 60.0, 70.0, Ending.FAILED)
    board.begin(DENOISES[1], ("shapes-12",), 70.0)
    board.observe(DENOISES[1].title, phase("starting"), 70.0)
    board.observe(DENOISES[1].title, {"event": "preview", "path": str(tmp_path / "previews/shapes-12.webp")}, 90.0)
    for done in range(1, 6):
        board.observe(DENOISES[1].title, step(done), 80.0 + 4 * done)
    board.begin(DENOISES[2], ("shapes-13", "shapes-14", "shapes-15"), 90.0)
    return board


AT_80 = """\
            encode   denoise   export
  done           1         0        0
  failed         0         1        0
  running        0         1        0
  left           0         1        1
  denoise shapes-12  0:00:30  ━━━─────────  step 5/20, 4.00 s/step, 1 min left
    preview: previews/shapes-12.webp
  denoise shapes-13 and 2 more  0:00:10  waiting
  0:01:40 so far, about 2 min 10 s left"""

AT_40 = """\
            encode   denoise   export
  done           1         0        0
  failed         0         1        0
  running        0         1        0
  left           0         1        1
  denoise shapes-12  0:00:30
    step 5/20, 4.00 s/step, 1 min left
    preview: previews/shapes-12.webp
  denoise shapes-13 and 2 more  0:00:10
    waiting
  0:01:40 so far, about 2 min 10 s left"""

AT_30 = """\
  encode 1/1
  denoise 0/3, 1 failed, 1 r…
  export 0/1
  denoise shapes-12  0:00:30
    step 5/20, 4.00 s/step, 1
    min left
    preview: shapes-12.webp
  denoise shapes-13 and 2 mo…
    waiting
  0:01:40 so far, about 2 mi…"""


@pytest.mark.parametrize(("width", "text"), [(80, AT_80), (40, AT_40), (30, AT_30)])
def test_a_run_at_three_widths(board: Board, width: int, text: str):
    assert shown(board, width) == text


@pytest.mark.parametrize("width", [1, 5, 20, 39, 60, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 50])
def test_it_is_never_wider_or_higher_than_the_terminal(board: Board, width: int, height: int):
    board.observe(DENOISES[2].title, phase("is being made by 猫" * 20), 95.0)
    lines = shown(board, width, height).splitlines()
    assert len(lines) <= max(height - 1, 0)
    assert all(cell_len(line) < width for line in lines)


def test_where_there_are_few_rows_each_node_has_one_and_then_the_table_goes(board: Board):
    assert shown(board, height=9).splitlines()[-3:] == [
        "  denoise shapes-12  0:00:30  ━━━─────────  step 5/20, 4.00 s/step, 1 min left",
        "  denoise shapes-13 and 2 more  0:00:10  waiting",
        "  0:01:40 so far, about 2 min 10 s left",
    ]
    assert shown(board, height=3) == "  and 2 more\n  0:01:40 so far, about 2 min 10 s left"


def test_of_hundreds_of_nodes_at_once_those_that_are_worked_on_are_shown_and_the_others_counted(board: Board):
    for number in range(300):
        board.running[f"denoise:{number}"] = board.running[DENOISES[2].title]
    lines = shown(board).splitlines()
    assert len(lines) == 23
    assert lines[5].startswith("  denoise shapes-12  0:00:30  ━━━")
    assert lines[-2] == "  and 286 more"


def test_who_makes_a_node_elsewhere_and_since_when_is_shown_in_whole():
    board = planned()
    board.begin(DENOISES[0], ("demo",), 90.0)
    who = "is being made by bob on tpu-2 (process 4194304, since 2026-11-29 15:03:05); waiting, 10 s so far"
    board.observe(DENOISES[0].title, phase(who), 99.0)
    for width in (200, 80, 40):
        text = " ".join(line.strip() for line in shown(board, width).splitlines())
        assert "bob on tpu-2 (process 4194304, since 2026-11-29 15:03:05)" in text


def test_of_a_download_the_bytes_and_their_speed_are_shown():
    board = planned()
    board.begin(ENCODE, ("demo",), 0.0)
    board.observe(ENCODE.title, phase("starting"), 0.0)
    board.observe(ENCODE.title, phase("download"), 1.0)
    for done, now in ((100, 10.0), (300, 20.0)):
        board.observe(ENCODE.title, {"event": "progress", "done": done, "total": 900, "unit": "MiB"}, now)
    assert "encode demo  0:00:20  ━━━━────────  download 300/900 MiB, 20.0 MiB/s, 30 s left" in shown(
        board, 100, now=20.0
    )


def test_without_the_characters_of_bars_they_are_dashes(board: Board):
    assert "===---------" in shown(board, has_bars=False)
    assert shown(board, width=30, has_bars=False).isascii()


def test_without_a_plan_there_is_what_runs_and_nothing_else():
    board = Board(0.0)
    assert shown(board) == ""
    board.begin(ENCODE, ("demo",), 95.0)
    assert shown(board) == "  encode demo  0:00:05  waiting"


def test_what_is_not_known_of_all_nodes_is_said_to_be_at_least_so_much():
    assert shown(planned(expected_s=None)).endswith("0:01:40 so far, time left unknown")
    board = planned(expected_s=None)
    board.begin(DENOISES[0], ("demo",), 0.0)
    board.observe(DENOISES[0].title, step(1), 40.0)
    board.observe(DENOISES[0].title, step(2), 44.0)
    assert shown(board, now=44.0).endswith("0:00:44 so far, at least 5 min 4 s left")


def test_a_preview_is_a_link_to_its_file(board: Board, tmp_path: Path):
    links = [span.style.link for line in draw(board, Terminal(80, 24), 100.0) for span in line.spans if span.style.link]
    assert links == [f"file://{tmp_path}/previews/shapes-12.webp"]


def test_what_others_have_written_does_not_steer_the_terminal():
    board = planned()
    board.begin(ENCODE, ("demo\x1b[31m",), 0.0)
    board.observe(ENCODE.title, phase("is being made by bob\x1b[2J\n\x07"), 1.0)
    assert shown(board, 200).isprintable() is False  # by the line breaks between its lines alone
    assert shown(board, 200).replace("\n", "").isprintable()
