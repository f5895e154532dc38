"""Files that are written are read as what was meant."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pipeline.toml_writer import write_toml, write_value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@given(tables=st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_as_it_was(tables: dict[str, Any]):
    read = tomllib.loads(write_toml(tables))
    assert read == tables
    assert _kinds(read) == _kinds(tables)  # 1 is not 1.0, nor true


def _kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _kinds(inner) for name, inner in value.items()}
    return [*map(_kinds, value)] if isinstance(value, list) else type(value)


def test_a_file_reads_as_a_person_would_write_it():
    tables = {"kept_from": "harbour", "encode": {"prompt": 'A "red" circle'}, "denoise": {"seed": 3}}
    assert write_toml(tables) == (
        'kept_from = "harbour"\n\n[encode]\nprompt = "A \\"red\\" circle"\n\n[denoise]\nseed = 3\n'
    )


@pytest.mark.parametrize("value", [None, "\ud800", [None], {"a": None}])
def test_what_toml_cannot_say_is_an_error(value: object):
    with pytest.raises(ValueError, match=r".+"):
        write_value(value)
