"""What runs to come can be expected to take."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from stages.geometry import VideoSize
from stages.history.expectation import Expectation, Forecast
from stages.history.runs import PastRun, Place
from stages.pipeline.stage import ACCELERATOR, HOST, Program
from tests.history.past_runs import HERE, SETTINGS, SLICE, denoise_work, past_run

DENOISE, DECODE, ENCODE = (Program(f"stages.{name}", ACCELERATOR) for name in ("denoise", "decode", "encode"))
WORK = denoise_work()


def forecast(*runs: PastRun, host: str = "here", kept: Sequence[str] = (), starts_ahead: bool = True) -> Forecast:
    return Forecast(runs, host, SETTINGS, kept.__contains__, starts_ahead)


def seconds(found: Expectation) -> float | None:
    return None if found.seconds is None else round(found.seconds, 6)


def test_nothing_is_expected_where_nothing_was_run():
    assert forecast().expect(WORK, DENOISE) == Expectation(None, "unknown")


def test_an_equal_run_says_all():
    found = forecast(past_run(WORK)).expect(WORK, DENOISE)
    assert found == Expectation(40.0, "1 equal run", 0, 1000)


def test_a_program_that_is_kept_is_not_compiled_again():
    assert seconds(forecast(past_run(WORK), kept=["p"]).expect(WORK, DENOISE)) == 20.0


def test_a_program_of_which_a_part_is_gone_is_compiled_again():
    assert seconds(forecast(past_run(WORK, programs=("p", "q")), kept=["p"]).expect(WORK, DENOISE)) == 40.0


def test_the_second_node_of_a_run_finds_process_model_and_program():
    found = forecast(past_run(WORK), past_run(WORK, name="2", is_first=False, rest_s=1.5))
    assert [seconds(found.expect(WORK, DENOISE)) for _ in range(3)] == [40.0, 1.5, 1.5]


def test_another_size_in_between_takes_the_step_away_but_not_the_model():
    other = denoise_work(VideoSize(9, 64, 64))
    found = forecast(past_run(WORK), past_run(other, programs=("q",)))
    assert [seconds(found.expect(work, DENOISE)) for work in (WORK, other, WORK)] == [40.0, 32.0, 32.0]


def test_a_model_of_other_weights_is_loaded_again_and_nobody_knows_how_fast_it_is():
    found = forecast(past_run(WORK))
    found.expect(WORK, DENOISE)
    assert found.expect(replace(WORK, components={"transformer": "other"}), DENOISE).source == "unknown"


def test_a_program_that_takes_the_device_ends_the_process_of_the_one_before():
    found = forecast(past_run(WORK), starts_ahead=False)
    assert [seconds(found.expect(WORK, program)) for program in (DENOISE, DECODE, DENOISE)] == [40.0, 40.0, 40.0]


def test_a_program_of_another_device_ends_none():
    found = forecast(past_run(WORK), starts_ahead=False)
    host = Program("stages.export", HOST)
    assert [seconds(found.expect(WORK, program)) for program in (DENOISE, host, DENOISE)] == [40.0, 40.0, 2.0]


def test_a_process_that_was_started_ahead_is_not_waited_for():
    found = forecast(past_run(WORK))
    assert [seconds(found.expect(WORK, program)) for program in (DENOISE, DECODE)] == [40.0, 35.0]


def test_other_steps_are_scaled_by_their_number():
    found = forecast(past_run(WORK)).expect(denoise_work(steps=40), DENOISE)
    assert (seconds(found), found.size_bytes) == (42.0, None)
    assert found.source == f"scaled by tokens x steps from {past_run(WORK).artifact.title}"


def test_other_sizes_are_scaled_from_the_nearest_and_compile_as_it_did():
    far = past_run(denoise_work(VideoSize(9, 960, 960)), name="2", rest_s=1000.0)
    assert (
        seconds(forecast(past_run(WORK), far, kept=["p"]).expect(denoise_work(VideoSize(9, 96, 192)), DENOISE)) == 42.0
    )


def test_of_several_equal_runs_it_is_the_median_of_the_latest_five():
    runs = [past_run(WORK, name=str(number), is_first=False, rest_s=float(number)) for number in range(1, 8)]
    found = forecast(past_run(WORK, name="0"), *runs)
    found.expect(WORK, DENOISE)
    assert found.expect(WORK, DENOISE) == Expectation(5.0, "8 equal runs", 0, 1000)


def test_another_machine_says_nothing():
    assert forecast(past_run(WORK), host="there").expect(WORK, DENOISE).source == "unknown"


def test_nor_do_other_settings_of_this_machine():
    other = past_run(WORK, place=replace(HERE, settings=("tpu", "auto", "auto")))
    assert forecast(other).expect(WORK, DENOISE).source == "unknown"


def test_another_host_with_the_same_chips_does():
    elsewhere, decode = (
        past_run(WORK, place=SLICE),
        past_run(denoise_work(window_size=9), name="2", place=replace(SLICE, host="me")),
    )
    found = forecast(elsewhere, decode, host="me").expect(WORK, DENOISE)
    assert (found.seconds, found.num_chips) == (40.0, 8)


@pytest.mark.parametrize("place", [Place("me", "TPU v4", 8, SETTINGS), Place("me", "TPU v6 lite", 4, SETTINGS)])
def test_another_host_with_other_chips_does_not(place: Place):
    elsewhere, own = past_run(WORK, place=SLICE), past_run(denoise_work(window_size=9), name="2", place=place)
    assert forecast(elsewhere, own, host="me").expect(WORK, DENOISE).source == "unknown"


def test_what_doit_takes_between_two_nodes_is_part_of_each():
    runs = [past_run(WORK), past_run(WORK, name="2", is_first=False, gap_s=0.25)]
    found = forecast(*runs)
    assert [seconds(found.expect(WORK, DENOISE)) for _ in range(2)] == [40.25, 2.25]


def test_a_program_that_was_never_loaded_loads_as_others_do():
    other = past_run(denoise_work(VideoSize(9, 64, 64)), name="2", was_compiled=False, getting_s=0.5, programs=("q",))
    assert seconds(forecast(past_run(WORK), other, kept=["p"]).expect(WORK, DENOISE)) == 20.5


def test_a_program_that_was_loaded_before_is_at_hand_as_fast():
    loaded = past_run(WORK, name="2", was_compiled=False, compile_s=11.0, getting_s=1.0)
    assert seconds(forecast(past_run(WORK), loaded, kept=["p"]).expect(WORK, DENOISE)) == 21.0


def test_a_run_by_hand_says_nothing_of_how_long_a_process_takes_to_start():
    assert seconds(forecast(past_run(WORK), past_run(WORK, name="2", start_s=0.0)).expect(WORK, DENOISE)) == 40.0


def test_what_the_same_artifact_took_before_counts_whatever_is_known_of_its_size():
    run = past_run(replace(WORK, size=None))
    found = forecast(run).expect(WORK, DENOISE, run.artifact)
    assert (found.seconds, found.source) == (40.0, "1 equal run")
    assert forecast(run).expect(WORK, DENOISE).source == "unknown"
