"""What a crop means, and whether it fits."""

from typing import Any

import pytest
from pydantic import ValidationError

from stages.pipeline.crop import CropSize, explain_misfit, half_crop, read_crop
from stages.pipeline.export import ExportParams


@pytest.mark.parametrize("text", ["1920x1080", "1920X1080", "1920 x 1080", " 1920x1080 ", "1920\u00d71080"])
def test_width_and_height_however_they_are_written_are_one_value(text: str):
    assert ExportParams(crop=text).crop == "1920x1080"
    assert read_crop(text) == CropSize(width=1920, height=1080)


def test_nothing_is_cut_by_default_and_keys_are_as_before_there_was_a_crop():
    assert read_crop(ExportParams().crop) is None
    assert "crop" not in ExportParams(crop="").key_parameters()
    assert ExportParams(crop="854x480").key_parameters()["crop"] == "854x480"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        *[
            (value, 'must be "<width>x<height>" in pixels, such as "1920x1080".')
            for value in ("1080p", "1920", 1080, True, "1920*1080", "16:9", "1920x1080x3", "-16x16", "1920x", "x")
        ],
        ("0x0", "must be 16x16 or more."),
        ("14x480", "must be 16x16 or more."),
        ("16386x16", "must be 16384x16384 or less."),
        ("99999x99998", "must be 16384x16384 or less."),
        ("16383x16383", 'must be even both ways, because four pixels share a colour. Use "16384x16384".'),
        ("853x480", 'must be even both ways, because four pixels share a colour. Use "854x480".'),
        ("853x481", 'must be even both ways, because four pixels share a colour. Use "854x482".'),
    ],
)
def test_what_is_no_size_of_a_video_is_refused_with_what_to_write(value: Any, rule: str):
    with pytest.raises(ValidationError) as caught:
        ExportParams(crop=value)
    assert caught.value.errors()[0]["msg"] == f"Value error, {rule}"


@pytest.mark.parametrize(("crop", "fits"), [((64, 48), True), ((66, 48), False), ((64, 50), False), ((16, 16), True)])
def test_a_crop_is_no_larger_than_the_frames(crop: tuple[int, int], fits: bool):
    misfit = explain_misfit(CropSize(*crop), width=64, height=48)
    assert misfit == (None if fits else "must be no larger than the frames, which are 64x48.")


@pytest.mark.parametrize(
    ("crop", "half"), [("", ""), ("1920x1080", "960x540"), ("854x480", "426x240"), ("30x16", "16x16")]
)
def test_half_of_a_crop_is_even_and_not_too_small(crop: str, half: str):
    assert half_crop(crop) == half
