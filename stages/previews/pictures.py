"""Pictures of a preview as WebP files: an animation, and a strip of some of its pictures side by side."""

import io

import av
import numpy as np
from jaxtyping import Float, UInt8

MAX_PX = 512  # on a side of an animation's picture
_MIN_PX = 192  # likewise; fewer are enlarged, so that something can be seen
_PER_S = 6  # pictures, each of which stands for four frames of a video of 24 per second
_MAX_IN_STRIP = 6
_STRIP_PX = 160  # width of a picture in a strip, about
_BAR_PX = 4  # height of the bar that says how far the denoise is
_BAR_DONE, _BAR_LEFT = (232, 232, 232), (64, 64, 64)
# 31 pictures of 320x180 in 0.1 s. The most thorough method takes four times as long and saves a fifth of the bytes.
_OPTIONS = {"quality": "75", "compression_level": "2", "lossless": "0"}


def encode_animation(pictures: Float[np.ndarray, "f h w rgb"], *, share_done: float) -> bytes:
    """An animated WebP that plays for ever.

    Args:
        pictures: in [-1, 1], one for each latent frame.
        share_done: of the denoise, 0..1, which a bar below the pictures shows.
    """
    shown = _resize(pictures, _MIN_PX, MAX_PX)
    return _encode(np.stack([_add_bar(picture, share_done) for picture in _to_bytes(shown)]))


def encode_strip(pictures: Float[np.ndarray, "f h w rgb"], *, share_done: float) -> bytes:
    """A still WebP: at most six of the pictures, evenly spread over the video, the first and the last among them."""
    count = min(len(pictures), _MAX_IN_STRIP)
    chosen = pictures[np.linspace(0, len(pictures) - 1, count).round().astype(int)]
    row = np.concatenate([*_to_bytes(_resize(chosen, _STRIP_PX // 2, _STRIP_PX))], axis=1)
    return _encode(_add_bar(row, share_done)[np.newaxis])


def _to_bytes(pictures: Float[np.ndarray, "f h w rgb"]) -> UInt8[np.ndarray, "f h w rgb"]:
    return ((np.clip(pictures, -1, 1) + 1) * 127.5).round().astype(np.uint8)


def _resize(
    pictures: Float[np.ndarray, "f h w rgb"], min_px: int, max_px: int
) -> Float[np.ndarray, "f h_new w_new rgb"]:
    """Repeat pixels, or take means of them, by a whole number, so that the longer side has about so many."""
    f, h, w, _ = pictures.shape
    larger, smaller = -(-min_px // max(h, w)), -(-max(h, w) // max_px)
    if smaller > 1:
        h, w = h // smaller, w // smaller
        cut = pictures[:, : h * smaller, : w * smaller]
        return cut.reshape(f, h, smaller, w, smaller, 3).mean(axis=(2, 4))
    return pictures.repeat(larger, axis=1).repeat(larger, axis=2)


def _add_bar(picture: UInt8[np.ndarray, "h w rgb"], share_done: float) -> UInt8[np.ndarray, "h_new w rgb"]:
    width = picture.shape[1]
    bar = np.full((_BAR_PX, width, 3), _BAR_LEFT, np.uint8)
    bar[:, : round(width * share_done)] = _BAR_DONE
    return np.concatenate([picture, bar])


def _encode(pictures: UInt8[np.ndarray, "f h w rgb"]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=_PER_S, options=_OPTIONS)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
