"""Runs that are alike, and those that were slow among them."""

from dataclasses import replace

from stages.geometry import VideoSize
from stages.history.timings import group_runs
from tests.builders import PIPELINE
from tests.history.past_runs import HERE, SLICE, denoise_work, past_run

WORK = denoise_work()
STAGES = PIPELINE.names


def test_first_runs_that_compiled_others_and_later_ones_are_told_apart():
    runs = [past_run(WORK), past_run(WORK, was_compiled=False), past_run(WORK, is_first=False)]
    (timing,) = group_runs(runs, STAGES)
    assert ((timing.compiled, timing.first, timing.later)) == ((runs[0],), (runs[1],), (runs[2],))


def test_sizes_steps_kinds_and_places_are_rows_of_their_own_the_smallest_first():
    big, long = denoise_work(VideoSize(9, 960, 960)), denoise_work(steps=40)
    runs = [past_run(WORK, place=SLICE), past_run(big), past_run(long), past_run(WORK), past_run(WORK)]
    found = group_runs(runs, STAGES)
    assert [(each.place, each.work, len(each.runs)) for each in found] == [
        (HERE, WORK, 2),
        (HERE, long, 1),
        (HERE, big, 1),
        (SLICE, WORK, 1),
    ]


def test_the_memory_of_a_row_is_the_most_and_its_step_the_median():
    runs = [past_run(WORK, step_s=step, peak_memory_bytes=peak) for step, peak in ((1.0, 5), (3.0, 9), (2.0, None))]
    (timing,) = group_runs(runs, STAGES)
    assert (timing.step_s, timing.peak_memory_bytes) == (2.0, 9)


def test_a_run_is_slow_that_took_far_longer_than_the_median_of_its_equals():
    runs = [past_run(WORK, is_first=False, name=str(number)) for number in range(4)]
    slow = replace(runs[0], rest_s=5.0)
    (timing,) = group_runs([slow, *runs[1:]], STAGES)
    assert timing.slow == [(slow, 2.5)]


def test_of_two_runs_nobody_knows_which_is_usual():
    (timing,) = group_runs([past_run(WORK, rest_s=100.0), past_run(WORK)], STAGES)
    assert timing.slow == []


def test_a_first_run_is_not_slow_because_later_ones_are_fast():
    runs = [past_run(WORK), *(past_run(WORK, is_first=False, name=str(number)) for number in range(5))]
    assert group_runs(runs, STAGES)[0].slow == []


def test_as_json_a_row_says_all():
    run = past_run(WORK)
    (timing,) = group_runs([run], STAGES)
    assert timing.to_json() == {
        "stage": "denoise",
        "parameters": {"program": "denoise", "dtype": "float32", "is_guided": True},
        "components": {"vae": "0" * 32},
        "num_frames": 9,
        "height": 96,
        "width": 96,
        "num_inference_steps": 20,
        "host": "here",
        "device": "cpu",
        "num_devices": 1,
        "compiled": {"runs": 1, "median_s": 40.0},
        "first": {"runs": 0, "median_s": None},
        "later": {"runs": 0, "median_s": None},
        "step_s": 0.1,
        "peak_memory_bytes": 2**20,
        "slow": [],
    }
