"""A file that threads use which outlive it."""

import os
import threading
from pathlib import Path

import pytest

from stages.remote.shared_file import SharedFile


def test_bytes_are_written_and_read_at_their_places(tmp_path: Path):
    with SharedFile(tmp_path / "file", os.O_RDWR | os.O_CREAT) as file:
        file.write_at(4, b"efgh")
        file.write_at(0, b"abcd")
        assert file.read_at(2, 4) == b"cdef"
        buffer = bytearray(4)
        assert file.read_into(5, memoryview(buffer)) == 3
        assert buffer == b"fgh\0"
        file.cut(6)
    assert (tmp_path / "file").read_bytes() == b"abcdef"


def test_a_closed_file_is_neither_read_nor_written_also_when_its_number_is_anothers(tmp_path: Path):
    with SharedFile(tmp_path / "file", os.O_RDWR | os.O_CREAT) as file:
        pass

    def read_into() -> int:
        return file.read_into(0, memoryview(bytearray(1)))

    with (tmp_path / "other").open("w+b") as other:
        for use in (
            lambda: file.write_at(0, b"x"),
            lambda: file.read_at(0, 1),
            read_into,
            lambda: file.cut(0),
            file.sync,
        ):
            with pytest.raises(ValueError, match="it is closed"):
                use()
        assert other.read() == b""


def test_who_is_still_writing_is_waited_for_before_it_is_closed(tmp_path: Path):
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Slow(SharedFile):
        def write_at(self, offset: int, content: bytes | memoryview) -> None:
            with self._using() as descriptor:
                begun.set()
                assert go_on.wait(30)
                os.pwrite(descriptor, content, offset)

    def use() -> None:
        with Slow(tmp_path / "file", os.O_RDWR | os.O_CREAT) as file:
            threading.Thread(target=lambda: file.write_at(0, b"x")).start()
            assert begun.wait(30)
        closed.set()

    user = threading.Thread(target=use)
    user.start()
    assert begun.wait(30)
    assert not closed.wait(0.05)
    go_on.set()
    user.join(30)
    assert closed.is_set()
    assert (tmp_path / "file").read_bytes() == b"x"
