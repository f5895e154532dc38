"""A checksum in the first line of a JSON object."""

import json

import pytest

from stages.store.checksum import add_checksum, check_checksum, has_checksum

TEXT = '{\n  "a": 1\n}\n'


def test_a_text_with_its_checksum_is_json_and_gives_the_text_back():
    sealed = add_checksum(TEXT)
    assert has_checksum(sealed)
    assert list(json.loads(sealed)) == ["checksum", "a"]
    assert check_checksum(sealed) == TEXT


def test_a_text_without_one_stays_as_it_is():
    assert not has_checksum(TEXT)
    assert check_checksum(TEXT) == TEXT


def test_another_text_under_the_same_checksum_is_refused():
    with pytest.raises(ValueError, match="it is not what was written: its checksum is another one"):
        check_checksum(add_checksum(TEXT).replace('"a": 1', '"a": 2'))
