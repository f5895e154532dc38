"""The declaration of export."""

import pytest
from pydantic import ValidationError

from stages.pipeline.export import ExportParams


@pytest.mark.parametrize(("codec", "best", "worst"), [("h264", 1, 51), ("hevc", 0, 51), ("av1", 0, 63), ("vp9", 0, 63)])
def test_the_range_of_crf_is_that_of_the_codec(codec: str, best: int, worst: int):
    for crf in (best, worst):
        assert ExportParams(codec=codec, crf=crf).crf == crf  # type: ignore[arg-type]
    for crf in (best - 1, worst + 1):
        with pytest.raises(ValidationError, match=f'must be {best} to {worst} when export.codec is "{codec}"'):
            ExportParams(codec=codec, crf=crf)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [24, 24.0, "24/1"])
def test_a_whole_rate_has_the_key_that_it_had_as_a_number(rate: float | str):
    assert ExportParams(fps=rate).key_parameters() == {"fps": 24, "codec": "h264", "crf": 18}  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [23.976, "23.976", "24000/1001"])
def test_equal_rates_have_equal_keys(rate: float | str):
    assert ExportParams(fps=rate).key_parameters()["fps"] == "24000/1001"  # type: ignore[arg-type]
