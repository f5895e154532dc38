"""JSON as people's editors write it."""

import json

import pytest

from stages.json_files import decode_json

TEXT = '{"name": "Ü 猫"}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_the_encoding_that_its_first_bytes_tell(encoding: str):
    assert json.loads(decode_json(TEXT.encode(encoding))) == {"name": "Ü 猫"}


def test_half_of_a_surrogate_pair_is_refused():
    with pytest.raises(UnicodeDecodeError):
        decode_json(b'"\xed\xa0\x80"')
