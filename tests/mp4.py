"""What the container says of a video's codec: the sample entry of its track and the decoder's configuration in it.

ISO/IEC 14496-12 has the boxes, 14496-15 `avcC` and `hvcC`; `av1C` and `vpcC` are of AOMedia and WebM. RFC 6381 says how
browsers want to hear the same.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_DESCRIPTIONS = 8  # bytes of `stsd` before its entries: version, flags, how many
_ENTRY = 78  # bytes of a visual sample entry before the boxes in it
_HEVC_PROFILES = {1: "Main", 2: "Main 10", 3: "Main Still Picture", 4: "Range Extensions"}
_H264_PROFILES = {66: "Baseline", 77: "Main", 100: "High", 244: "High 4:4:4 Predictive"}


@dataclass(frozen=True)
class Format:
    """A track's codec.

    Attributes:
        tag: four characters.
        profile: as the standard names it.
        level: as the standard writes it, such as "5.1".
        codecs: what a browser's `canPlayType` takes.
    """

    tag: str
    profile: str
    level: str
    codecs: str


def read_format(path: Path) -> Format:
    """Of the only track of a file."""
    entry = _find(path.read_bytes(), b"stsd")[_DESCRIPTIONS:]
    tag, content = next(_boxes(entry))
    boxes = dict(_boxes(content[_ENTRY:]))
    match tag:
        case b"avc1":
            return _read_avc(boxes[b"avcC"])
        case b"hvc1":
            return _read_hevc(boxes[b"hvcC"])
        case b"av01":
            return _read_av1(boxes[b"av1C"])
        case b"vp09":
            return _read_vp9(boxes[b"vpcC"])
    raise AssertionError(tag)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of boxes that follow each other; none here is longer than 32 bits say."""
    while data:
        size, name = struct.unpack_from(">I4s", data)
        yield name, data[8:size]
        data = data[size:]


def _find(data: bytes, wanted: bytes) -> bytes:
    for name, content in _boxes(data):
        if name == wanted:
            return content
        if name in _CONTAINERS and (found := _find(content, wanted)):
            return found
    return b""


def _read_avc(box: bytes) -> Format:
    _, profile, constraints, level = box[:4]
    codecs = f"avc1.{profile:02x}{constraints:02x}{level:02x}"
    return Format("avc1", _H264_PROFILES[profile], f"{level // 10}.{level % 10}", codecs)


def _read_hevc(box: bytes) -> Format:
    profile, level = box[1], box[12]  # of the first: two bits of space, one of tier, five of profile
    compatible = int(f"{int.from_bytes(box[2:6]):032b}"[::-1], 2)  # said from the last bit to the first
    constraints = "".join(f".{byte:X}" for byte in box[6:12].rstrip(b"\0"))
    tier = "H" if profile & 0x20 else "L"
    codecs = f"hvc1.{profile & 0x1F}.{compatible:X}.{tier}{level}{constraints}"
    return Format("hvc1", _HEVC_PROFILES[profile & 0x1F], f"{level // 30}.{level % 30 // 3}", codecs)


def _read_av1(box: bytes) -> Format:
    profile, level, tier = box[1] >> 5, box[1] & 0x1F, "H" if box[2] & 0x80 else "M"
    names = {0: "Main", 1: "High", 2: "Professional"}
    assert not box[2] & 0x60, "more than 8 bits"
    return Format("av01", names[profile], f"{2 + level // 4}.{level % 4}", f"av01.{profile}.{level:02}{tier}.08")


def _read_vp9(box: bytes) -> Format:
    profile, level, depth = box[4], box[5], box[6] >> 4
    codecs = f"vp09.{profile:02}.{level:02}.{depth:02}"
    return Format("vp09", f"Profile {profile}", f"{level // 10}.{level % 10}", codecs)
