"""A comparison in words."""

import math

from stages.diff.comparison import ONLY, StageDifference
from stages.diff.floor import Floor
from stages.diff.frame_difference import FrameDifference, Metric
from stages.diff.wording import describe
from stages.store.verdict import Reason

SIZE = (3, 32, 64)
METRICS = [
    Metric("psnr", [math.inf, 30.0, 20.0]),
    Metric("ssim", [1.0, 0.9, 0.8]),
    Metric("xpsnr", [math.inf, 32.0, 22.0]),
]
FRAMES = StageDifference("decode", (), "other", frames=FrameDifference((SIZE, SIZE), 1, 0.25, METRICS))
LATENTS = {"latents": {"num_values": 1000, "num_unequal": 10, "max_abs": 0.5, "psnr_db": 40.0}}


def words(*found: StageDifference, floor: Floor | None = None, shows_bars: bool = False) -> str:
    return "\n".join(describe(found, floor, shows_bars=shows_bars))


def test_where_nothing_differs_one_line_says_so():
    same = [StageDifference(stage, (), "equal") for stage in ("encode", "denoise")]
    assert words(*same) == "the same: parameters, components and bytes of all stages"


def test_a_stage_is_a_paragraph():
    reasons = (Reason("denoise.seed", 42, 7), Reason("version.jax", "0.9", "0.10"))
    assert words(StageDifference("denoise", reasons, "other", LATENTS)) == (
        "denoise  seed 42 -> 7\n"
        "         made with jax 0.9 -> 0.10\n"
        "         latents: 10 of 1,000 values differ, by 0.5 at most, PSNR 40.0 dB"
    )


def test_words_of_a_prompt_that_differ_are_marked():
    reason = Reason("encode.prompt", "A red circle moves.", "A blue circle moves.")
    assert words(StageDifference("encode", (reason,), "equal")) == (
        "encode   prompt: A [red -> blue] circle moves.\n         equal to the bit"
    )


def test_frames_have_a_line_for_each_metric():
    assert words(FRAMES) == (
        "decode   frame 1 of 3 is the first that differs; by 0.25 at most\n"
        "         PSNR: mean 24.4 dB, worst 20.0 dB at frame 2\n"
        "         SSIM: mean 0.9000, worst 0.8000 at frame 2\n"
        "         XPSNR: mean 29.2 dB, worst 22.0 dB at frame 2"
    )


def test_a_line_of_bars_stands_below_each_metric():
    lines = words(FRAMES, shows_bars=True).splitlines()
    assert lines[2] == "         20.0 ██▁ 30.0"


def test_frames_of_another_size_are_said_and_not_compared():
    found = FrameDifference((SIZE, (9, 96, 64)))
    assert words(StageDifference("decode", (), "other", frames=found)) == (
        "decode   frames: 3 of 64x32 and 9 of 64x96: not compared"
    )


def test_frames_too_small_for_xpsnr_say_so():
    small = FrameDifference(((3, 16, 16), (3, 16, 16)), 0, 0.25, METRICS[:2])
    assert words(StageDifference("decode", (), "other", frames=small)).endswith(
        "\n         XPSNR: not measured, frames are too small for it"
    )


def test_other_bytes_of_equal_values_are_no_difference_of_values():
    equal = {"frames": {"num_values": 10, "num_unequal": 0, "max_abs": 0.0, "psnr_db": math.inf}}
    assert words(StageDifference("export", (), "other", equal)) == "export   other bytes; equal values"
    same = FrameDifference((SIZE, SIZE), None, 0.0, METRICS)
    assert words(StageDifference("decode", (), "other", frames=same)) == "decode   other bytes; equal values"


def test_why_nothing_was_measured_is_said():
    assert words(StageDifference("decode", (), "other", note="the first: not in the store")) == (
        "decode   other bytes; the first: not in the store"
    )
    assert words(StageDifference("decode", (), "unknown", note="both: not in the store")) == (
        "decode   not compared; both: not in the store"
    )


def test_a_stage_of_one_alone_is_named():
    assert words(StageDifference("export", (Reason(ONLY, None, "f" * 32),), "unknown")) == (
        "export   only the second has this stage"
    )


def test_the_floor_stands_beside_each_number():
    metrics = [Metric("psnr", [50.0, 50.0, 50.0]), Metric("ssim", [0.99, 0.99, 0.99])]
    stages = [
        StageDifference("denoise", (), "other", {"latents": {**LATENTS["latents"], "max_abs": 0.01, "psnr_db": 60.0}}),
        StageDifference("decode", (), "other", frames=FrameDifference((SIZE, SIZE), 0, 0.02, metrics)),
    ]
    floor = Floor("demo", stages, [], "")
    assert words(StageDifference("denoise", (), "other", LATENTS), FRAMES, floor=floor) == (
        "denoise  latents: 10 of 1,000 values differ, by 0.5 at most, PSNR 40.0 dB\n"
        "           (floor: 0.01, 60.0 dB)\n"
        "decode   frame 1 of 3 is the first that differs; by 0.25 at most (floor: 0.02)\n"
        "         PSNR: mean 24.4 dB, worst 20.0 dB at frame 2 (floor: 50.0, 50.0)\n"
        "         SSIM: mean 0.9000, worst 0.8000 at frame 2 (floor: 0.9900, 0.9900)\n"
        "         XPSNR: mean 29.2 dB, worst 22.0 dB at frame 2\n"
        "\n"
        "floor: what differs between float32 and bfloat16 in the same video, demo"
    )


def test_the_command_that_makes_a_floor_stays_on_one_line():
    command = "doit from demo " + "encode.dtype=float32 " * 5
    assert words(FRAMES, floor=Floor("demo", [], ["float32"], command)).endswith(f"\n  {command}")


def test_what_others_have_written_gives_no_orders_to_a_terminal():
    note = "the first: \x1b[2J"
    assert "\x1b" not in words(StageDifference("decode", (), "other", note=note))
    assert "\x1b" not in words(StageDifference("x", (Reason("version.\x1b[2J", "\x1b[2J", None),), "unknown"))
