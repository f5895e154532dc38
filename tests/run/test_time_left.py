"""The time that a run still takes."""

import pytest

from stages.run.time_left import Made, Remaining, TimeLeft, estimate_left


def remaining(expected_s: float | None, stage: str = "denoise", **fields: float) -> Remaining:
    return Remaining(stage, lane=stage, expected_s=expected_s, **fields)


def test_before_anything_is_made_it_is_what_is_expected():
    assert estimate_left([], [remaining(10.0), remaining(20.0)]) == TimeLeft(30.0, is_of_all=True)


def test_when_nothing_is_left_it_is_over():
    assert estimate_left([Made("denoise", 10.0, 12.0)], []) == TimeLeft(0.0, is_of_all=True)


def test_the_pace_of_this_run_corrects_what_is_expected_of_the_same_stage_alone():
    made = [Made("denoise", 10.0, 30.0)] * 3
    left = estimate_left(made, [remaining(10.0), remaining(5.0, "export")])
    assert left == TimeLeft(10.0 * (90.0 + 10.0) / (30.0 + 10.0) + 5.0, is_of_all=True)


def test_the_more_is_made_the_less_the_expectation_counts():
    seconds = [
        estimate_left([Made("denoise", 10.0, 20.0)] * number, [remaining(10.0)]).seconds for number in (1, 4, 99)
    ]
    assert seconds == [15.0, 18.0, pytest.approx(19.9)]


def test_a_node_that_runs_counts_by_its_own_pace_or_else_by_what_is_left_of_the_expectation():
    assert estimate_left([], [remaining(10.0, elapsed_s=4.0)]).seconds == 6.0
    assert estimate_left([], [remaining(10.0, elapsed_s=14.0)]).seconds == 0.0
    assert estimate_left([], [remaining(10.0, elapsed_s=4.0, left_s=50.0)]).seconds == 50.0


def test_without_an_earlier_run_nodes_are_expected_to_take_what_those_before_them_took():
    made = [Made("denoise", None, 90.0), Made("denoise", None, 10.0), Made("denoise", None, 12.0)]
    assert estimate_left(made[:1], [remaining(None)]).seconds == 90.0
    assert estimate_left(made, [remaining(None)]).seconds == 11.0  # the first one also compiled


def test_without_any_they_are_expected_to_take_what_the_one_takes_that_runs():
    running = remaining(None, elapsed_s=30.0, left_s=70.0)
    assert estimate_left([], [remaining(None), running]) == TimeLeft(170.0, is_of_all=True)


def test_where_nothing_is_known_of_some_it_is_at_least_that_of_the_others():
    assert estimate_left([], [remaining(10.0), remaining(None, "decode")]) == TimeLeft(10.0, is_of_all=False)


def test_side_by_side_it_is_the_longest_lane_or_the_share_of_each():
    nodes = [remaining(30.0), remaining(10.0, "decode"), remaining(20.0, "export")]
    assert [estimate_left([], nodes, num_at_once=number).seconds for number in (1, 2, 4)] == [60.0, 30.0, 30.0]
    assert estimate_left([], [remaining(30.0), remaining(30.0)], num_at_once=4).seconds == 60.0


def test_side_by_side_stages_slow_each_other_down_and_one_after_another_they_do_not():
    made, left = [Made("denoise", 10.0, 30.0)], [remaining(10.0, "decode")]
    assert [estimate_left(made, left, num_at_once=number).seconds for number in (1, 2)] == [10.0, 20.0]
    running = remaining(10.0, elapsed_s=10.0, left_s=20.0)  # in another lane, and until then at the same pace
    assert estimate_left([], [running, *left], num_at_once=2).seconds == 20.0


def test_a_node_takes_at_least_what_is_left_of_the_part_that_is_being_done():
    left = [remaining(10.0, elapsed_s=8.0, least_s=5.0), remaining(None, "decode", least_s=3.0)]
    assert estimate_left([], left) == TimeLeft(8.0, is_of_all=False)
