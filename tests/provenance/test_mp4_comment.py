"""The comment of an mp4 file, of files that are whole, and of files that are anything else."""

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.export.codecs import CODECS
from stages.provenance.mp4_comment import is_mp4, read_comment
from tests.provenance.videos import write_mp4

TEXT = '{"prompt":"猫 \\u2028"}'


def comment_of(path: Path) -> str | None:
    with path.open("rb") as file:
        return read_comment(file)


@contextmanager
def opened(content: bytes) -> Iterator[BinaryIO]:
    """A file with this content that has no name."""
    descriptor = os.memfd_create("content")
    with os.fdopen(descriptor, "w+b") as file:
        file.write(content)
        file.flush()
        yield file


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def movie(items: bytes) -> bytes:
    """A file whose metadata has these items."""
    return box(b"ftyp", b"isom") + box(b"moov", box(b"udta", box(b"meta", bytes(4) + box(b"ilst", items))))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mp4(tmp_path_factory.mktemp("mp4") / "video.mp4", TEXT)


@pytest.mark.parametrize("codec", [*CODECS])
def test_it_is_what_export_has_written(tmp_path: Path, codec: str):
    assert comment_of(write_mp4(tmp_path / "video.mp4", TEXT, codec)) == TEXT


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_it_is_found_where_another_tool_has_copied_the_streams(tmp_path: Path, video: Path, suffix: str):
    new = tmp_path / f"new.{suffix}"
    with av.open(str(video)) as old, av.open(str(new), "w") as container:
        container.metadata.update(old.metadata)
        stream = container.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    assert comment_of(new) == TEXT


def test_a_video_without_one_has_none(tmp_path: Path, video: Path):
    content = video.read_bytes()
    (tmp_path / "video.mp4").write_bytes(content.replace(b"mdtacomment", b"mdtacommand"))
    assert comment_of(tmp_path / "video.mp4") is None


def test_a_box_whose_size_has_64_bits_and_one_that_ends_with_the_file_are_boxes():
    large = struct.pack(">I4sQ", 1, b"free", 16 + 3) + b"abc"
    content = box(b"ftyp", b"isom") + large + movie(box(b"\xa9cmt", box(b"data", bytes(8) + b"hello")))[12:]
    with opened(content + struct.pack(">I4s", 0, b"mdat") + b"rest") as file:
        assert read_comment(file) == "hello"


def test_the_rest_of_a_file_is_not_read(tmp_path: Path):
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.write(box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 16 + (10 << 30)))
        file.seek(10 << 30, os.SEEK_CUR)
        file.write(movie(box(b"\xa9cmt", box(b"data", bytes(8) + b"hello")))[12:])
    assert path.stat().st_blocks * 512 < 1 << 20, "the file system keeps no holes"
    assert comment_of(path) == "hello"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (box(b"ftyp") + struct.pack(">I4s", 7, b"moov"), "it was cut, or is no whole mp4 file"),
        (box(b"ftyp") + struct.pack(">I4s", 100, b"moov"), "it was cut, or is no whole mp4 file"),
        (box(b"ftyp") + struct.pack(">I4s", 1, b"moov"), "it was cut, or is no whole mp4 file"),
        (box(b"free") * 100_001, "it has more than 100000 boxes"),
        (movie(box(b"\xa9cmt", box(b"data", bytes((16 << 20) + 9)))), "its comment has more than 16 MiB"),
    ],
)
def test_what_is_no_whole_file_is_an_error(content: bytes, message: str):
    with opened(content) as file, pytest.raises(ValueError, match=f"^{message}$"):
        read_comment(file)


def test_a_cut_file_is_an_error_or_says_what_it_said(video: Path):
    content = video.read_bytes()
    start = content.index(b"moov")
    for length in range(8, content.index(b"mdat", start), 7):
        with opened(content[:length]) as file:
            try:
                assert read_comment(file) in (None, TEXT)
            except ValueError as error:
                assert str(error) == "it was cut, or is no whole mp4 file"  # noqa: PT017 (either will do)


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_are_an_error_or_a_text(content: bytes, place: int):
    whole = movie(box(b"\xa9cmt", box(b"data", bytes(8) + b"hello")))
    with opened(whole[:place] + content + whole[place:]) as file:
        try:
            found = read_comment(file)
        except ValueError:
            return
        assert isinstance(found, str | None)


def test_a_file_is_known_by_its_content(video: Path):
    with video.open("rb") as file:
        assert is_mp4(file.read(16))
    assert not is_mp4(io.BytesIO(b"\x1aE\xdf\xa3 a Matroska").read(16))
