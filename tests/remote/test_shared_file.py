"""A file that threads use which outlive it."""

import os
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
        for use in (lambda: file.write_at(0, b"x"), lambda: file.read_at(0, 1), read_into, lambda: file.cut(0)):
            with pytest.raises(ValueError, match="it is closed"):
                use()
        assert other.read() == b""
