"""What the cost of a node depends on."""

import pytest

from stages.geometry import VideoSize
from stages.history.work import describe_work, size_in
from tests.builders import PIPELINE, build_node
from tests.history.past_runs import SMALL, denoise_work


@pytest.mark.parametrize("change", [{"seed": 7}, {"flow_shift": 5.0}, {"guidance_scale": 7.5}])
def test_what_costs_nothing_changes_no_work(change: dict[str, float]):
    assert denoise_work(**change) == denoise_work()


def test_a_prompt_changes_no_work():
    works = [describe_work(build_node("encode", prompt=text), PIPELINE, None) for text in ("a", "b")]
    assert works[0] == works[1]


@pytest.mark.parametrize("change", [{"guidance_scale": 1.0}, {"dtype": "bfloat16"}, {"window_size": 9}])
def test_what_makes_a_step_another_one_is_another_model_of_work(change: dict[str, float]):
    assert denoise_work(**change).model != denoise_work().model


def test_denoise_grows_with_tokens_and_steps():
    twice = denoise_work(VideoSize(9, 96, 192), steps=40)
    assert (twice.amount or 0) == 4 * (denoise_work().amount or 0)
    assert twice.unit == "tokens x steps"
    assert denoise_work(steps=40).shape == denoise_work().shape  # one program does any number of steps


def test_decode_grows_with_pixels_and_frames():
    node = build_node("decode", inputs={"denoise": build_node().key}, decoder="native")
    work = describe_work(node, PIPELINE, SMALL)
    assert (work.amount, work.unit) == (9 * 96 * 96, "pixels x frames")


def test_another_codec_is_another_model_of_work():
    works = [
        describe_work(build_node("export", inputs={"decode": build_node().key}, codec=codec), PIPELINE, SMALL)
        for codec in ("h264", "av1")
    ]
    assert works[0].model != works[1].model


def test_what_is_made_from_nothing_has_no_size():
    assert not describe_work(build_node("encode"), PIPELINE, SMALL).has_size


def test_a_file_from_elsewhere_is_copied_whatever_the_size_of_its_video():
    work = describe_work(build_node("denoise", from_file="0" * 32), PIPELINE, SMALL)
    assert (dict(work.kind), work.has_size) == ({"program": "from_file"}, False)


def test_a_size_is_three_whole_numbers():
    assert size_in({"num_frames": 9, "height": 96, "width": 96}) == SMALL
    assert size_in({"num_frames": 9, "height": 96}) is None
