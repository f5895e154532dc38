"""Writes a video file with PyAV, frame by frame.

Owns the encoders and their fixed options, the colours and the container. Equal frames and arguments give
equal bytes with the same PyAV. Which frames, and what the metadata says, is the caller's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stages.errors import ContractError, StoreError
from stages.geometry import VideoSize

Array: TypeAlias = NDArray[Any]

# use_metadata_tags lets `comment` keep its name; faststart puts the index first, so that a browser plays while
# it loads; bitexact leaves out the muxer's version and the time of writing.
_CONTAINER_OPTIONS: Final = MappingProxyType({"movflags": "use_metadata_tags+faststart", "fflags": "+bitexact"})
# A box of 2x2 pixels becomes one chroma sample, rounded; bitexact: the same on every kind of CPU.
_INTERPOLATION: Final = (
    Interpolation.AREA | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
)


@dataclass(frozen=True)
class Codec:
    """How one codec is written: FFmpeg's encoder, its pixel format and its fixed options."""

    encoder: str
    pixel_format: str
    options: Mapping[str, str]


# x264 gives other bytes for another number of threads (its default is that of the cores), and its macroblock
# tree computes in floats that differ between CPUs and, with AVX-512, reads memory that was never written (core
# 165). Without the tree, files are 6 % larger at equal PSNR, and equal with SSE4, AVX2 and AVX-512.
_X264_OPTIONS: Final = MappingProxyType({"preset": "medium", "threads": "8", "mbtree": "0"})
CODECS: Final[Mapping[str, Codec]] = MappingProxyType({"h264": Codec("libx264", "yuv420p", _X264_OPTIONS)})


def write_video(
    frames: Iterable[Array],
    path: Path,
    *,
    size: VideoSize,
    fps: int,
    codec: str,
    crf: int,
    metadata: str,
    progress: Callable[[int, int], None],
) -> None:
    """Encode frames into an mp4 file with BT.709 colours in limited range.

    Args:
        frames: each [height, width, 3], float of any width, red, green, blue in [-1, 1]; taken one at a time,
            so that the video never has to be in memory.
        path: the file to write; an older one is replaced.
        size: of the video; height and width are even.
        fps: frames per second, 1..240. Checked in params.py.
        codec: a name in CODECS. Checked in params.py.
        crf: constant rate factor, smaller is better; for h264 0..51, 0 is lossless. Checked in params.py.
        metadata: text for the container's `comment`.
        progress: called with (frames done, frames in all), first with 0.
    Raises:
        ContractError: the frames are not as many or not as large as `size` says, or hold NaN or infinities.
        StoreError: the file cannot be written, or the encoder does not take frames of this size.
    """
    try:
        with av.open(str(path), "w", format="mp4", options=dict(_CONTAINER_OPTIONS)) as container:
            container.metadata["comment"] = metadata
            stream = _add_stream(container, CODECS[codec], size=size, fps=fps, crf=crf)
            reformatter = VideoReformatter()
            progress(0, size.num_frames)
            for index, frame in enumerate(_check_frames(frames, size)):
                picture = _convert_colours(to_levels(frame), reformatter, CODECS[codec].pixel_format)
                picture.pts, picture.time_base = index, Fraction(1, fps)
                container.mux(stream.encode(picture))
                progress(index + 1, size.num_frames)
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise StoreError(f"{path}: {_explain(error, CODECS[codec].encoder, size)}") from error


def to_levels(frame: Array) -> NDArray[np.uint8]:
    """Colours in [-1, 1] as levels 0..255: to the nearest level, halves to the even one; what is outside is cut.

    Args:
        frame: float of any width and shape, finite.
    Returns:
        uint8, same shape; -1 is 0, 0 is 128, 1 is 255.
    """
    levels: NDArray[np.float32] = np.rint((frame.astype(np.float32) + 1) * 127.5)
    return levels.clip(0, 255).astype(np.uint8)


def _check_frames(frames: Iterable[Array], size: VideoSize) -> Iterator[Array]:
    """The same frames, as long as they are what `size` says."""
    wanted = (size.height, size.width, 3)
    index = -1
    for index, frame in enumerate(frames):
        if frame.shape != wanted:
            raise ContractError(f"frame {index} is {list(frame.shape)}, but the video's frames are {list(wanted)}.")
        if index >= size.num_frames:
            raise ContractError(f"there are more than the {size.num_frames} frames of the video.")
        if not np.isfinite(frame).all():
            # decode writes none, so the file was damaged, or is not of decode
            raise ContractError(
                f"frame {index} holds NaN or infinite values. Make the frames again: `doit forget decode`, then `doit`."
            )
        yield frame
    if index + 1 != size.num_frames:
        raise ContractError(f"there are {index + 1} frames, but the video has {size.num_frames}.")


def _explain(error: av.FFmpegError, encoder: str, size: VideoSize) -> str:
    """What could not be done and the mend; FFmpeg's errors of the file system are Python's OSError, too."""
    if isinstance(error, OSError):
        return (
            f"the video cannot be written ({error.strerror}). "
            "Check that the folder is there, may be written and has free space."
        )
    return (
        f"{encoder} cannot encode frames of height {size.height} and width {size.width} ({error.strerror}). "
        "Set denoise.height and denoise.width to even numbers, or to smaller ones."
    )


def _add_stream(container: OutputContainer, codec: Codec, *, size: VideoSize, fps: int, crf: int) -> VideoStream:
    options = {**codec.options, "crf": str(crf)}
    stream = cast("VideoStream", container.add_stream(codec.encoder, rate=fps, options=options))
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, codec.pixel_format
    context = stream.codec_context
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _convert_colours(levels: NDArray[np.uint8], reformatter: VideoReformatter, pixel_format: str) -> av.VideoFrame:
    """Red, green and blue, [height, width, 3], as BT.709 luma and chroma in limited range.

    Swscale takes BT.601 unless it is told, whatever the stream's tags say: reds would come back darker.
    """
    return reformatter.reformat(
        av.VideoFrame.from_ndarray(levels, format="rgb24"),
        format=pixel_format,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
        interpolation=_INTERPOLATION,
        threads=1,
    )
