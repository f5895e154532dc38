"""From where it is known what an artifact is whose payload is not here."""

from pathlib import Path

import pytest

from stages.store.manifest import COLLECTED
from stages.store.records import add_origin, recorded_from, with_origin
from stages.store.verdict import NOT_PUSHED, Reason, Verdict

ORIGIN = '{"recorded_from": "s3://bucket"}'


def test_the_remote_store_is_noted_and_what_was_known_stays():
    assert add_origin({"host": "there"}, "s3://bucket") == {"host": "there", "recorded_from": "s3://bucket"}


@pytest.mark.parametrize(
    ("text", "address"),
    [(ORIGIN, "s3://bucket"), ('{"host": "here"}', ""), ("[1", ""), ("[1]", ""), ('{"recorded_from": 1}', "")],
)
def test_it_is_read_back_and_of_all_else_the_payload_was_here_once(tmp_path: Path, text: str, address: str):
    (tmp_path / COLLECTED).write_text(text)
    assert recorded_from(tmp_path) == address


def test_where_nothing_is_noted_the_payload_was_here_once(tmp_path: Path):
    assert recorded_from(tmp_path) == ""


def test_the_word_on_one_that_was_never_here_says_so(tmp_path: Path):
    (tmp_path / COLLECTED).write_text(ORIGIN)
    never_here = Verdict("collected", (Reason(NOT_PUSHED, None, None),))
    assert with_origin(Verdict("collected"), tmp_path) == never_here
    assert with_origin(Verdict("fresh"), tmp_path) == Verdict("fresh")


def test_the_word_on_one_that_a_gc_has_deleted_is_as_it_was(tmp_path: Path):
    (tmp_path / COLLECTED).write_text("{}")
    assert with_origin(Verdict("collected"), tmp_path) == Verdict("collected")
