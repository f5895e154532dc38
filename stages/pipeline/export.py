"""The stage `export`: frames become a video file."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator

from stages.pipeline.contracts import FRAMES, VIDEO
from stages.pipeline.crop import Crop, half_crop
from stages.pipeline.frame_rate import FrameRate
from stages.pipeline.rules import Drafted, Table
from stages.pipeline.stage import HOST, Program, Stage

# Best quality and smallest files. H.264 has a 0, too, docs/decisions/0024.
_CRF = {"h264": (1, 51), "hevc": (0, 51), "av1": (0, 63), "vp9": (0, 63)}


def _crf_of_codec(value: int, info: Any) -> int:
    """`info` is pydantic's: it has the fields above this one."""
    codec = info.data.get("codec")  # not there when it is wrong itself
    if codec is None or _CRF[codec][0] <= value <= _CRF[codec][1]:
        return value
    best, worst = _CRF[codec]
    rule = f'must be {best} to {worst} when export.codec is "{codec}"'
    if value == 0:
        rule += ": 0 is lossless, in a profile (High 4:4:4 Predictive) that many players refuse. Use 1"
    raise ValueError(f"{rule}.")


class ExportParams(Table):
    """`fps` in 1/s, `crf` as the codec means it; `crop` is "<width>x<height>" in pixels, or "" for whole frames.

    Attributes:
        fps: frames per second, 1 to 240: a number, or a fraction such as "24000/1001", which 23.976 is, too.
        codec: "h264" plays everywhere; files of the others are smaller.
        crf: quality, from 0 (best; h264: 1) to 51 (h264, hevc) or 63 (av1, vp9); 18 loses little.
        crop: "1920x1080" cuts frames, about their centre, to a size that is no multiple of 16; "" for whole frames.
    """

    fps: FrameRate = 24
    codec: Literal["h264", "hevc", "av1", "vp9"] = "h264"
    crf: Annotated[int, AfterValidator(_crf_of_codec)] = 18  # after `codec`, which its rule reads
    crop: Annotated[Crop, Drafted(half_crop)] = ""


STAGE: Final = Stage(
    name="export",
    summary="frames -> video file",
    parameters=ExportParams,
    reads=(FRAMES,),
    makes=VIDEO,
    program=Program("stages.export", HOST),
)
