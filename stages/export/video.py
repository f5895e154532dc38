"""Writes a video file with PyAV, frame by frame.

Owns the colours and the container; encoders and their options are in codecs.py. Equal frames and arguments give
equal bytes with the same PyAV. Which frames, and what the metadata says, is the caller's.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
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
from stages.export.codecs import PIXEL_FORMAT, Codec, find_codec
from stages.geometry import VideoSize
from stages.machine.scheduling import keeping_schedule

Array: TypeAlias = NDArray[Any]

# use_metadata_tags lets `comment` keep its name; faststart puts the index first, so that a browser plays while
# it loads; bitexact leaves out the muxer's version and the time of writing.
_CONTAINER_OPTIONS: Final = MappingProxyType({"movflags": "use_metadata_tags+faststart", "fflags": "+bitexact"})
# A chroma sample stands in the middle of its pixels. H.264 and HEVC can say so, AV1 and VP9 cannot:
# docs/decisions/0009.
_STREAM_OPTIONS: Final = MappingProxyType({"chroma_sample_location": "center"})
# A box of 2x2 pixels becomes one chroma sample, rounded; bitexact: the same on every kind of CPU.
_INTERPOLATION: Final = (
    Interpolation.AREA | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
)


def write_video(
    frames: Iterable[Array],
    path: Path,
    *,
    size: VideoSize,
    fps: Fraction,
    codec: str,
    crf: int,
    metadata: str,
    progress: Callable[[int, int], None],
) -> None:
    """Encode frames into an mp4 file with BT.709 colours in limited range, 4:2:0.

    Args:
        frames: each [height, width, 3], float of any width, red, green, blue in [-1, 1]; taken one at a time,
            so that the video never has to be in memory.
        path: the file to write; an older one is replaced.
        size: of the frames; an odd height or width is one more in the video, whose chroma is of 2x2 pixels.
        fps: frames per second, 1..240, kept exactly. Checked in stages/pipeline/frame_rate.py.
        codec: a name in CODECS. Checked in stages/pipeline/export.py.
        crf: constant rate factor, smaller is better, in the codec's range. Checked in stages/pipeline/export.py.
        metadata: text for the container's `comment`.
        progress: called with (frames done, frames in all), first with 0.
    Raises:
        ContractError: the frames are not as many or not as large as `size` says, or hold NaN or infinities.
        ParamsError: the installed PyAV lacks the codec's encoder.
        StoreError: the file cannot be written, or the encoder does not take frames of this size.
    """
    chosen = find_codec(codec)
    padded = VideoSize(size.num_frames, size.height + size.height % 2, size.width + size.width % 2)
    try:
        with av.open(str(path), "w", format="mp4", options=dict(_CONTAINER_OPTIONS)) as container:
            container.metadata["comment"] = metadata
            stream = _add_stream(container, chosen, size=padded, fps=fps, crf=crf)
            with keeping_schedule():
                stream.codec_context.open(strict=False)
            progress(0, size.num_frames)
            kind = PictureType.I if chosen.needs_key_frames(padded) else PictureType.NONE
            pictures = _make_pictures(_check_frames(frames, size), padded, fps, kind)
            for done, packet in enumerate(_encode(pictures, stream), start=1):
                container.mux(packet)
                progress(done, size.num_frames)
    except av.FFmpegError as error:
        raise StoreError(f"{path}: {_explain(error, chosen.encoder, size)}") from error


def to_levels(frame: Array) -> NDArray[np.uint8]:
    """Colours in [-1, 1] as levels 0..255: to the nearest level, halves to the even one; what is outside is cut.

    Args:
        frame: float of any width and shape, finite.
    Returns:
        uint8, same shape; -1 is 0, 0 is 128, 1 is 255.
    """
    levels: NDArray[np.float32] = frame.astype(np.float32)  # a copy; what follows would make more
    levels += 1
    levels *= 127.5
    np.rint(levels, out=levels)
    return levels.clip(0, 255, out=levels).astype(np.uint8)


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
    """What could not be done and how to fix it; FFmpeg's errors of the file system are Python's OSError, too."""
    if isinstance(error, OSError):
        return (
            f"the video cannot be written ({error.strerror}). "
            "Check that the folder is there, may be written and has free space."
        )
    return (
        f"{encoder} cannot encode frames of height {size.height} and width {size.width} ({error.strerror}). "
        "Set denoise.height and denoise.width to 16 to 4096, which every codec takes."
    )


def _add_stream(container: OutputContainer, codec: Codec, *, size: VideoSize, fps: Fraction, crf: int) -> VideoStream:
    options = {**_STREAM_OPTIONS, **codec.options(crf, size)}
    stream = cast("VideoStream", container.add_stream(codec.encoder, rate=fps, options=options))
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, PIXEL_FORMAT
    context = stream.codec_context
    context.codec_tag = codec.tag
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _make_pictures(
    frames: Iterable[Array], size: VideoSize, fps: Fraction, kind: PictureType
) -> Iterator[av.VideoFrame]:
    """Frames as the encoder takes them: padded to `size` by repeating their last row and column, each with its time.

    Where `kind` is none, the encoder chooses which are key frames.
    """
    reformatter = VideoReformatter()
    for index, frame in enumerate(frames):
        rows, columns = size.height - frame.shape[0], size.width - frame.shape[1]
        levels = np.pad(to_levels(frame), ((0, rows), (0, columns), (0, 0)), mode="edge")
        picture = _convert_colours(levels, reformatter)
        picture.pts, picture.time_base, picture.pict_type = index, 1 / fps, kind
        yield picture


def _encode(pictures: Iterable[av.VideoFrame], stream: VideoStream) -> Iterator["Packet[VideoStream]"]:
    """One packet for each picture, as soon as the encoder releases it; None says that no more come.

    An encoder looks at the pictures that follow before it is done with one, so the first packets are late.
    """
    for picture in chain(pictures, [None]):
        for packet in stream.codec_context.encode_lazy(picture):
            packet.stream = stream
            yield packet


def _convert_colours(levels: NDArray[np.uint8], reformatter: VideoReformatter) -> av.VideoFrame:
    """Red, green and blue, [height, width, 3], as BT.709 luma and chroma in limited range.

    Swscale takes BT.601 unless it is asked for another, whatever the stream's tags say: reds would come back darker.
    """
    return reformatter.reformat(
        av.VideoFrame.from_ndarray(levels, format="rgb24"),
        format=PIXEL_FORMAT,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_primaries=ColorPrimaries.BT709,
        dst_color_trc=ColorTrc.BT709,
        interpolation=_INTERPOLATION,
        threads=1,
    )
