"""The state of a run, from what happens in it."""

from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.board import Board, Ending, StageCount
from stages.run.time_left import TimeLeft
from tests.run.boards import DENOISES, ENCODE, EXPORT, loaded, make, phase, planned, step


def test_at_first_all_is_left_and_stages_that_make_nothing_do_not_count():
    assert planned().counts() == {
        "encode": StageCount(left=1),
        "denoise": StageCount(left=3),
        "export": StageCount(left=1),
    }


def test_a_node_is_left_until_a_process_works_on_it_then_running_then_done():
    board = planned()
    board.begin(DENOISES[0], ("demo",), 1.0)
    assert board.counts()["denoise"] == StageCount(left=3)
    board.observe(DENOISES[0].title, phase("starting"), 2.0)
    assert board.counts()["denoise"] == StageCount(running=1, left=2)
    board.end(DENOISES[0].title, Ending.MADE, 9.0)
    assert board.counts()["denoise"] == StageCount(done=1, left=2)
    assert [each.took_s for each in board.made] == [7.0]


def test_what_another_run_has_made_and_what_is_found_to_be_as_needed_is_done():
    board = planned()
    make(board, DENOISES[0], 0.0, 1.0, Ending.TAKEN)
    board.settle(DENOISES[1].title, Ending.UNCHANGED)
    assert board.counts()["denoise"] == StageCount(done=2, left=1)
    assert board.made == []


def test_what_depends_on_a_failure_is_not_left():
    board = planned()
    make(board, DENOISES[0], 0.0, 1.0, Ending.FAILED)
    board.settle(EXPORT.title, Ending.BLOCKED)
    assert board.counts()["denoise"] == StageCount(failed=1, left=2)
    assert "export" not in board.counts()


def test_a_node_that_was_shown_is_not_settled_again():
    board = planned()
    make(board, ENCODE, 0.0, 1.0)
    board.settle(ENCODE.title, Ending.UNCHANGED)
    board.settle("demo", Ending.UNCHANGED)  # a video's task, which is no node
    board.begin(EXPORT, ("demo",), 1.0)
    board.settle(EXPORT.title, Ending.UNCHANGED)
    assert board.endings == {ENCODE.title: Ending.MADE}
    assert [*board.running] == [EXPORT.title]


def test_a_node_that_nobody_planned_counts_from_its_begin():
    board = planned()
    make(board, Node("upscale", {}, {}, {}), 0.0, 1.0)
    assert board.counts()["upscale"] == StageCount(done=1)


def test_events_of_a_node_that_has_ended_change_nothing():
    board = planned()
    make(board, ENCODE, 0.0, 1.0)
    board.observe(ENCODE.title, step(1), 2.0)
    board.end(ENCODE.title, Ending.FAILED, 3.0)
    assert (board.running, board.endings) == ({}, {ENCODE.title: Ending.MADE})


def test_a_preview_stays_while_its_node_runs():
    board = planned()
    board.begin(DENOISES[0], ("demo",), 0.0)
    board.observe(DENOISES[0].title, {"event": "preview", "path": "/store/demo.webp"}, 1.0)
    board.observe(DENOISES[0].title, step(5), 2.0)
    assert board.running[DENOISES[0].title].preview == Path("/store/demo.webp")


def test_the_time_left_is_that_of_what_runs_and_of_what_is_left():
    board = planned(expected_s=60.0)
    make(board, ENCODE, 0.0, 60.0)
    assert board.time_left(60.0) == TimeLeft(240.0, is_of_all=True)
    board.begin(DENOISES[0], ("demo",), 60.0)
    board.observe(DENOISES[0].title, phase("starting"), 60.0)
    assert board.time_left(80.0).seconds == 220.0
    board.observe(DENOISES[0].title, step(1), 80.0)
    board.observe(DENOISES[0].title, step(2), 90.0)
    assert board.time_left(90.0).seconds == 180.0 + 180.0  # 18 steps at 10 s, by its own pace


def test_the_time_left_of_loading_is_not_that_of_the_node():
    board = planned()
    board.begin(ENCODE, ("demo",), 0.0)
    for now, event in enumerate((phase("starting"), phase("load"), loaded(0), loaded(100), loaded(300))):
        board.observe(ENCODE.title, event, float(now))
    assert board.running[ENCODE.title].progress.left_s(4.0) == 2.0
    assert board.time_left(4.0).seconds == 56.0 + 240.0
    board.observe(ENCODE.title, loaded(301), 200.0)  # it takes longer than was expected of all of it
    assert board.time_left(200.0).seconds == pytest.approx(299 * 198 / 301 + 240.0)


def test_without_a_plan_a_node_runs_all_the_same():
    board = Board(0.0)
    board.begin(ENCODE, ("demo",), 1.0)
    board.observe(ENCODE.title, step(1), 3.0)  # by hand: no process is started
    assert board.counts() == {"encode": StageCount(running=1)}
    assert board.running[ENCODE.title].worked_s(4.0) == 3.0
    assert not board.time_left(4.0).is_of_all


def test_a_run_was_expected_to_take_what_is_known_of_all_of_its_nodes():
    assert planned(expected_s=60.0).expected_s() == 300.0
    assert planned(expected_s=None).expected_s() is None
    assert Board(0.0).expected_s() is None
