"""The declaration of export."""

import pytest
from pydantic import ValidationError

from stages.pipeline.export import ExportParams


@pytest.mark.parametrize(("codec", "worst"), [("h264", 51), ("av1", 63)])
def test_the_range_of_crf_is_that_of_the_codec(codec: str, worst: int):
    assert ExportParams(codec=codec, crf=worst).crf == worst  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=f'must be 0 to {worst} when export.codec is "{codec}"'):
        ExportParams(codec=codec, crf=worst + 1)  # type: ignore[arg-type]
