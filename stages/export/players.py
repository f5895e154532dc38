"""What some players refuse of what the codecs can be: said when a video is written, with the nearest that plays.

docs/video-files.md has what was measured.
"""

from fractions import Fraction
from typing import Final

from stages.geometry import VideoSize

_BLOCK = 16  # pixels; the side of a macroblock, in which H.264 counts
# Level 5.2, the last that decoders in hardware commonly have: samples of luma in a picture, and per second.
# ITU-T H.264 (2021), table A-1; H.265 (2021), tables A.8 and A.9. Those of AV1 are as HEVC's, and of VP9 about so.
_LIMITS: Final = {"h264": (36_864 * _BLOCK**2, 2_073_600 * _BLOCK**2)}
_OTHER_LIMITS = (8_912_896, 1_069_547_520)
_MAX_ASPECT = 8  # of the largest picture: no side, squared, may hold more (both standards, beside those tables)


def explain_limits(codec: str, size: VideoSize, fps: Fraction) -> list[str]:
    """What players may not take of a video, a sentence or two each.

    Args:
        codec: a name of `export.codec`.
        size: of the video.
        fps: frames per second.
    """
    found = []
    if codec == "hevc":
        found.append(
            "HEVC plays where the device can decode it, as Apple's can; Chromium as Debian builds it refuses it. "
            'export.codec = "h264", "av1" and "vp9" play there.'
        )
    max_picture, max_rate = _LIMITS.get(codec, _OTHER_LIMITS)
    width, height = (-(-side // _BLOCK) * _BLOCK for side in (size.width, size.height))
    what = f"{size.width}x{size.height} at {float(fps):g} frames per second needs level 6 of {codec}"
    if width * height > max_picture or max(width, height) ** 2 > _MAX_ASPECT * max_picture:
        found.append(f"{what}, which few devices decode. Up to 3840x2160, they do.")
    elif width * height * fps > max_rate:
        found.append(f"{what}, which few devices decode. Up to export.fps = {max_rate // (width * height)}, they do.")
    return found
