"""Pictures of a finished video: its first frame, and a strip of frames from all of it. Decodes with PyAV."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from jaxtyping import UInt8

_POSTER_PX: Final = 640  # width; a card of the wall has up to 400 CSS pixels
_FRAME_PX: Final = 200  # width of a frame in a strip
_MAX_IN_STRIP: Final = 8
_OPTIONS: Final = {"quality": "80", "compression_level": "4"}


@dataclass(frozen=True)
class Facts:
    """What a video's file says of itself.

    Attributes:
        num_frames: that were decoded.
        fps: frames per second, such as "24000/1001".
        width, height: in pixels.
        codec: FFmpeg's name of it, such as "h264".
        shown: indices of the frames in the strip.
    """

    num_frames: int
    fps: str
    width: int
    height: int
    codec: str
    shown: tuple[int, ...]


def paint(video: Path) -> tuple[bytes, bytes, Facts]:
    """A poster and a strip as WebP files, and what the video is.

    Raises:
        ValueError: it holds no frame.
        OSError, av.FFmpegError: it cannot be read.
    """
    num_frames = _count_frames(video)
    shown = tuple(map(int, np.linspace(0, max(num_frames - 1, 0), min(num_frames, _MAX_IN_STRIP)).round()))
    chosen: list[UInt8[np.ndarray, "h w rgb"]] = []
    poster, count = b"", 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        fps, width, height = (
            Fraction(stream.average_rate or 1),
            stream.width,
            stream.height,
        )  # a type of its own in PyAV 19
        codec = stream.codec_context.codec.canonical_name
        for index, frame in enumerate(container.decode(stream)):
            count += 1
            if index == 0:
                poster = encode_picture(_scale(frame, _POSTER_PX))
            if index in shown:
                chosen.append(_scale(frame, _FRAME_PX))
    if not chosen:
        raise ValueError("it holds no frame")
    facts = Facts(count, str(fps), width, height, codec, shown)
    return poster, encode_picture(np.concatenate(chosen, axis=1)), facts


def encode_picture(picture: UInt8[np.ndarray, "h w rgb"]) -> bytes:
    """One picture as a WebP file."""
    file = io.BytesIO()
    with av.open(file, "w", format="webp") as container:
        stream = container.add_stream("libwebp", rate=1, options=dict(_OPTIONS))
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def _count_frames(video: Path) -> int:
    """By their packets, still encoded: that takes no decoding."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def _scale(frame: av.VideoFrame, max_width: int) -> UInt8[np.ndarray, "h w rgb"]:
    """As wide as `max_width` at most, in even numbers, as its half-size colours need."""
    width = min(frame.width, max_width) // 2 * 2 or 2
    height = round(frame.height * width / frame.width / 2) * 2 or 2
    pixels: UInt8[np.ndarray, "h w rgb"] = frame.to_ndarray(format="rgb24", width=width, height=height)
    return pixels
