"""The stage `export`: frames become a video file."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from stages.pipeline.contracts import FRAMES, VIDEO
from stages.pipeline.crop import Crop
from stages.pipeline.frame_rate import FrameRate
from stages.pipeline.rules import Table
from stages.pipeline.stage import HOST, Program, Stage

_MAX_CRF = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}  # smallest files; 0 is the best of each codec


def _crf_of_codec(value: int, info: Any) -> int:
    """`info` is pydantic's: it has the fields above this one."""
    codec = info.data.get("codec")  # not there when it is wrong itself
    if codec is not None and not 0 <= value <= _MAX_CRF[codec]:
        raise ValueError(f'must be 0 to {_MAX_CRF[codec]} when export.codec is "{codec}".')
    return value


class ExportParams(Table):
    """`fps` in 1/s, `crf` as the codec means it; `crop` is "<width>x<height>" in pixels, or "" for whole frames."""

    fps: FrameRate = 24
    codec: Literal["h264", "hevc", "av1", "vp9"] = "h264"
    crf: Annotated[int, AfterValidator(_crf_of_codec)] = 18  # after `codec`, which its rule reads
    crop: Crop = ""


STAGE: Final = Stage(
    name="export",
    summary="frames -> video file",
    parameters=ExportParams,
    reads=(FRAMES,),
    makes=VIDEO,
    program=Program("stages.export", HOST),
)
