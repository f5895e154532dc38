"""The declaration of denoise."""

import pytest
from pydantic import ValidationError

from stages.pipeline.denoise import DenoiseParams, half_side


@pytest.mark.parametrize(("num_frames", "offered"), [(120, "117 or 121"), (50, "49 or 53"), (2, "1 or 5")])
def test_a_length_that_the_vae_cannot_hold_is_refused_with_the_two_nearest(num_frames: int, offered: str):
    with pytest.raises(ValidationError, match=f"must be 4k . 1.*Use {offered}"):
        DenoiseParams(num_frames=num_frames)


def test_a_seed_is_what_a_torch_generator_takes():
    assert DenoiseParams(seed=2**63 - 1).seed == 2**63 - 1
    for seed in (-1, 2**63):
        with pytest.raises(ValidationError):
            DenoiseParams(seed=seed)


@pytest.mark.parametrize(
    ("side", "offer"),
    [
        ({"height": 1080}, 'Use 1072 or 1088. For a video of 1080, denoise 1088 and set export.crop = "<width>x1080".'),
        ({"width": 854}, 'Use 848 or 864. For a video of 854, denoise 864 and set export.crop = "854x<height>".'),
        ({"height": 18}, 'Use 16 or 32. For a video of 18, denoise 32 and set export.crop = "<width>x18".'),
        ({"width": 855}, "Use 848 or 864."),  # no video is odd
    ],
)
def test_a_side_that_the_vae_cannot_make_is_refused_with_what_can_be_cut(side: dict[str, int], offer: str):
    with pytest.raises(ValidationError) as caught:
        DenoiseParams(**side)  # type: ignore[arg-type]
    assert caught.value.errors()[0]["msg"] == (
        f"Value error, must be a multiple of 16, the VAE's spatial compression. {offer}"
    )


@pytest.mark.parametrize(
    ("name", "largest", "next_one"),
    [("num_frames", 86_401, 86_405), ("height", 16_384, 16_400), ("width", 16_384, 16_400)],
)
def test_sizes_end_where_encoders_and_memory_do(name: str, largest: int, next_one: int):
    DenoiseParams.model_validate({name: largest})
    with pytest.raises(ValidationError, match=f"less than or equal to {largest}"):
        DenoiseParams.model_validate({name: next_one})


@pytest.mark.parametrize(("side", "half"), [(720, 368), (1280, 640), (96, 48), (48, 32), (32, 16), (16, 16)])
def test_half_of_a_side_is_one_that_the_vae_can_make(side: int, half: int):
    assert half_side(side) == half


def test_a_draft_has_half_the_size_and_a_third_of_the_steps():
    assert DenoiseParams().draft() == {"height": 368, "width": 640, "num_inference_steps": 17}
    assert DenoiseParams(num_inference_steps=1).draft()["num_inference_steps"] == 1
