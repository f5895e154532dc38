"""The codecs: which of FFmpeg's encoders writes each, under which tag of the mp4 container, and with which options.

Every option here is fixed so that equal pictures give equal bytes on every machine: see docs/decisions/0009. How far
`crf` goes is in stages/pipeline/export.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import av
from av.codec.codec import UnknownCodecError

from stages.errors import ParamsError
from stages.geometry import VideoSize

PIXEL_FORMAT: Final = "yuv420p"  # 8 bits, of every codec: what browsers and phones decode in hardware

# Constant rate factor and size of the pictures -> the encoder's options.
Options: TypeAlias = Callable[[int, VideoSize], dict[str, str]]

# px; with threads, SVT-AV1 4.1 waits for ever where one side is up to 24 and the other above 64, and did so twice at
# 256x256 on busy cores. Smaller videos take a second or two with one thread of each kind, too.
_SVT_THREADED_SIDE: Final = 512


@dataclass(frozen=True)
class Codec:
    """How one codec is written.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        tag: the container's name of the codec, four characters.
        options: of the encoder.
        needs_key_frames: whether every picture of a video of this size has to be a key frame.
    """

    encoder: str
    tag: str
    options: Options
    needs_key_frames: Callable[[VideoSize], bool] = lambda _size: False


def _x264(crf: int, _size: VideoSize) -> dict[str, str]:
    """Bytes depend on the number of threads, whose default is that of the cores.

    The macroblock tree computes in floats that differ between CPUs and, with AVX-512, reads memory that was never
    written (core 165). Without it, files are 6 % larger at equal PSNR, and equal with SSE4, AVX2 and AVX-512. The
    profile keeps x264 from becoming lossless, at crf 0, in one that few players have.
    """
    return {"preset": "medium", "profile": "high", "threads": "8", "mbtree": "0", "crf": str(crf)}


def _x265(crf: int, size: VideoSize) -> dict[str, str]:
    """Bytes depend on whether there is a pool of threads and whether frames are coded side by side: the cores decide.

    `info` would write the CPU's capabilities into the video. x265 4.2 uses memory that was never written where a
    picture is a single block (`ctu`) wide, and for the times of one or two frames without a third; neither when
    no frame is predicted from another (_needs_key_frames). `keyint=1` would say so, too, but in the profile Main
    Intra, one of the range extensions. Up to a width of 48, its tree writes behind the end of its memory.
    """
    side = min(size.height, size.width)
    block = 64 if side > 64 else 32 if side > 32 else 16
    parameters = f"pools=8:frame-threads=4:info=0:log-level=none:ctu={block}:cutree={int(size.width > 48)}"
    if _needs_key_frames(size):
        parameters += ":bframes=0:rc-lookahead=0"  # nothing is asked of the frames that follow
    return {"preset": "medium", "crf": str(crf), "forced-idr": "1", "x265-params": parameters}


def _needs_key_frames(size: VideoSize) -> bool:
    """Whether x265 may predict no frame of such a video from another."""
    return size.num_frames < 3 or min(size.height, size.width) <= 16


def _svt_av1(crf: int, size: VideoSize) -> dict[str, str]:
    """Bytes do not depend on threads (`lp` is their level, 1 for one each). FFmpeg takes its own crf = 0 for unset."""
    level = 4 if min(size.height, size.width) >= _SVT_THREADED_SIDE else 1
    return {"preset": "6", "svtav1-params": f"crf={crf}:lp={level}"}


def _libvpx_vp9(crf: int, _size: VideoSize) -> dict[str, str]:
    """Bytes did not depend on threads, 1 to 16, in any measurement. With row-mt, small pictures use several, too."""
    return {"deadline": "good", "cpu-used": "2", "row-mt": "1", "threads": "8", "crf": str(crf)}


CODECS: Final[Mapping[str, Codec]] = MappingProxyType({
    "h264": Codec("libx264", "avc1", _x264),
    "hevc": Codec("libx265", "hvc1", _x265, _needs_key_frames),  # Apple's players open hvc1, not hev1, FFmpeg's default
    "av1": Codec("libsvtav1", "av01", _svt_av1),
    "vp9": Codec("libvpx-vp9", "vp09", _libvpx_vp9),
})  # fmt: skip


def find_codec(name: str) -> Codec:
    """A codec whose encoder is there.

    Args:
        name: one of CODECS. Checked in stages/pipeline/export.py.
    Raises:
        ParamsError: the installed PyAV was built without the encoder.
    """
    if _is_there(CODECS[name]):
        return CODECS[name]
    others = [f'"{other}"' for other, codec in CODECS.items() if _is_there(codec)]
    raise ParamsError(
        f'export.codec = "{name}": the installed PyAV {av.__version__} has no encoder {CODECS[name].encoder}. Install '
        "PyAV's own wheel, which has it (`pip install --force-reinstall --only-binary av av`), or set export.codec to "
        f"a codec that is there: {', '.join(others) or 'none is'}."
    )


def _is_there(codec: Codec) -> bool:
    try:
        av.Codec(codec.encoder, "w")
    except UnknownCodecError:
        return False
    return True
