"""JSON as people's editors write it."""

import json
import os
from pathlib import Path

import pytest

from stages.machine.json_files import decode_json, parse_json, read_json

TEXT = '{"name": "Ü 猫"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_the_encoding_that_its_first_bytes_tell(encoding: str):
    assert json.loads(decode_json(TEXT.encode(encoding))) == {"name": "Ü 猫"}


def test_half_of_a_surrogate_pair_is_refused():
    with pytest.raises(UnicodeDecodeError):
        decode_json(b'"\xed\xa0\x80"')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ("9" * 5000, "it has a number of thousands of digits"),
        ('{"a": [-' + "9" * 5000 + "]}", "it has a number of thousands of digits"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_in_its_own_words(text: str, fault: str):
    with pytest.raises(ValueError, match=r"^") as caught:
        parse_json(text)
    assert str(caught.value) == fault


def test_options_are_those_of_the_library():
    assert parse_json("[1, 2.5]", parse_int=str, parse_float=str) == ["1", "2.5"]


def test_a_file_is_read_if_it_is_one(tmp_path: Path):
    (tmp_path / "file").write_bytes(TEXT.encode("utf-16"))
    assert read_json(tmp_path / "file") == {"name": "Ü 猫"}
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="is a FIFO, not a file"):
        read_json(tmp_path / "fifo")
