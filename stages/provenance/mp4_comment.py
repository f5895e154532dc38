"""The comment in an mp4 file's metadata, found without a library: the file may be anybody's, and may be wrong anyhow.

Only the boxes on the way to the comment are looked at, whatever else is in the file. ISO/IEC 14496-12 has the boxes;
the two forms of a comment are those of FFmpeg: by the name of a key, as export writes it, and as iTunes does, which is
what other programs write when they copy the streams into a new file.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

_HEADER: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
_WORD: Final = struct.Struct(">I")
_MAX_BOXES: Final = 100_000  # in one file; a film in fragments of a second has a few ten thousand
_MAX_COMMENT_BYTES: Final = 16 << 20  # a prompt stands in it twice, and comes from a file of up to 4 MiB
_FULL_BOX: Final = 4  # bytes of version and flags before what is in some boxes
_DATA: Final = 8  # bytes of type and language before the text in a `data` box
_KEY, _ITUNES_COMMENT = b"comment", b"\xa9cmt"


class _Box(NamedTuple):
    """A box: its name, and where its content begins and ends in the file."""

    name: bytes
    start: int
    end: int


def is_mp4(head: bytes) -> bool:
    """Whether a file that begins with these bytes, 8 or more, is of the family of mp4, by its content alone."""
    return head[4:8] == b"ftyp"


def read_comment(file: BinaryIO) -> str | None:
    """The comment of an open file; None where it has none.

    Raises:
        OSError: the file cannot be read.
        ValueError: the boxes are not whole, are too many, or the comment is too large or is no text.
    """
    return _Reader(file).find_comment()


class _Reader:
    """Walks through the boxes of one file, up to a number of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._num_boxes = 0
        self._size_bytes = os.fstat(file.fileno()).st_size

    def find_comment(self) -> str | None:
        whole = _Box(b"", 0, self._size_bytes)
        for movie in self._named(whole, b"moov"):
            for data in self._named(movie, b"udta"):
                for box in self._boxes(data):
                    if box.name == b"meta" and (found := self._find_in(box)) is not None:
                        return found
                    if box.name == _ITUNES_COMMENT:  # of QuickTime: length and language, two bytes each
                        return self._read(box.start + _FULL_BOX, box.end).decode()
        return None

    def _find_in(self, meta: _Box) -> str | None:
        inside = meta._replace(start=min(meta.start + _FULL_BOX, meta.end))
        names = [name for keys in self._named(inside, b"keys") for name in self._read_keys(keys)]
        numbers = {_WORD.pack(number) for number, name in enumerate(names, start=1) if name == _KEY}
        for items in self._named(inside, b"ilst"):
            for item in self._boxes(items):
                if item.name in numbers or item.name == _ITUNES_COMMENT:
                    for data in self._named(item, b"data"):
                        return self._read(data.start + _DATA, data.end).decode()
        return None

    def _read_keys(self, keys: _Box) -> Iterator[bytes]:
        for key in self._boxes(keys._replace(start=min(keys.start + 2 * _FULL_BOX, keys.end))):
            yield self._read(key.start, min(key.end, key.start + len(_KEY) + 1))

    def _named(self, outer: _Box, name: bytes) -> Iterator[_Box]:
        return (box for box in self._boxes(outer) if box.name == name)

    def _boxes(self, outer: _Box) -> Iterator[_Box]:
        """The boxes in another one."""
        place = outer.start
        while place + _HEADER.size <= outer.end:
            self._num_boxes += 1
            if self._num_boxes > _MAX_BOXES:
                raise ValueError(f"it has more than {_MAX_BOXES} boxes")
            size, name = _HEADER.unpack(self._read(place, place + _HEADER.size))
            start = place + _HEADER.size
            if size == 1:
                (size,) = _LARGE.unpack(self._read(start, start + _LARGE.size))
                start += _LARGE.size
            end = outer.end if size == 0 else place + size
            if not start <= end <= outer.end:
                raise ValueError("it was cut, or is no whole mp4 file")
            yield _Box(name, start, end)
            place = end

    def _read(self, start: int, end: int) -> bytes:
        if end - start > _MAX_COMMENT_BYTES:
            raise ValueError(f"its comment has more than {_MAX_COMMENT_BYTES >> 20} MiB")
        self._file.seek(start)
        content = self._file.read(max(end - start, 0))
        if len(content) < end - start:
            raise ValueError("it was cut, or is no whole mp4 file")
        return content
