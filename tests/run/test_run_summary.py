"""What is said of a run at its end."""

from stages.run.board import Ending
from stages.run.run_summary import summarize
from tests.run.boards import ALL, DECODES, DENOISES, ENCODE, EXPORT, make, planned

REUSED = "reused 2 artifacts, which saved about 1 min 30 s and 2.50 MB"


def test_a_run_says_what_it_made_how_long_that_took_against_what_was_expected_and_what_it_saved():
    board = planned(expected_s=60.0)
    for node in ALL:
        make(board, node, 0.0, 70.0)
    assert [*summarize(board, 350.0)] == [
        "made 1 encode, 3 denoises, 1 export in 5 min 50 s, expected about 5 min",
        REUSED,
    ]


def test_side_by_side_it_was_expected_to_take_what_the_longest_lane_takes():
    board = planned(expected_s=60.0, num_at_once=4)
    for node in ALL:
        make(board, node, 0.0, 70.0)
    assert next(iter(summarize(board, 200.0))).endswith(" in 3 min 20 s, expected about 3 min")


def test_where_no_earlier_run_says_it_nothing_was_expected():
    board = planned(expected_s=None)
    for node in ALL:
        make(board, node, 0.0, 70.0)
    assert next(iter(summarize(board, 350.0))) == "made 1 encode, 3 denoises, 1 export in 5 min 50 s"


def test_what_failed_and_what_was_not_made_because_of_it_is_counted_and_nothing_is_compared():
    board = planned()
    make(board, ENCODE, 0.0, 1.0)
    make(board, DENOISES[0], 1.0, 2.0, Ending.FAILED)
    make(board, DENOISES[1], 1.0, 2.0, Ending.TAKEN)
    make(board, DENOISES[2], 1.0, 2.0, Ending.INTERRUPTED)
    board.settle(EXPORT.title, Ending.BLOCKED)
    assert [*summarize(board, 90.0)] == [
        "made 1 encode in 1 min 30 s; 1 denoise made by another run; 1 denoise failed; 1 denoise interrupted; "
        "1 export not made because of that",
        REUSED,
    ]


def test_what_was_there_and_is_made_again_all_the_same_is_not_reused():
    board = planned()
    make(board, ENCODE, 0.0, 1.0)
    make(board, DECODES[0], 1.0, 2.0)
    assert [*summarize(board, 9.0)] == ["made 1 encode, 1 decode in 9.0 s", "reused 1 artifact, which saved 500 kB"]


def test_a_run_that_has_made_nothing_says_nothing():
    board = planned()
    make(board, ENCODE, 0.0, 1.0, Ending.FAILED)
    assert [*summarize(board, 90.0)] == []


def test_what_was_fetched_is_counted_beside_what_was_made_or_by_itself():
    board = planned()
    make(board, ENCODE, 0.0, 1.0)
    make(board, DENOISES[0], 1.0, 2.0, Ending.FETCHED)
    assert next(iter(summarize(board, 2.0))) == "made 1 encode in 2.0 s; fetched 1 denoise"
    board = planned()
    make(board, EXPORT, 0.0, 1.0, Ending.FETCHED)
    assert next(iter(summarize(board, 2.0))) == "fetched 1 export in 2.0 s"
