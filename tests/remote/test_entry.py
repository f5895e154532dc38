"""What a remote store says of an artifact: read back as it was written, and refused when a bit of it differs."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from stages.remote.entry import Entry, is_damaged
from stages.store.artifacts import Store
from stages.store.checksum import add_checksum
from tests.remote.shared import made


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return made(Store(tmp_path))[1]


def test_an_entry_is_read_back_as_it_was(entry: Entry):
    assert Entry.from_bytes(entry.to_bytes()) == entry
    assert entry.run == {"host": "here"}


def test_every_change_of_a_byte_is_refused(entry: Entry):
    content = entry.to_bytes()
    for place in range(len(content)):
        with pytest.raises(ValueError, match=r"\w"):
            Entry.from_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def test_every_truncation_is_refused(entry: Entry):
    content = entry.to_bytes()
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"\w"):
            Entry.from_bytes(content[:length])


@pytest.mark.parametrize("text", ["{\n}\n", '{\n  "manifest": {}\n}\n', "[\n]\n"])
def test_other_json_with_a_right_checksum_is_refused(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        Entry.from_bytes(add_checksum(text).encode())


def test_a_text_without_a_checksum_is_refused(entry: Entry):
    text = entry.to_bytes().decode()
    with pytest.raises(ValueError, match="it has no checksum"):
        Entry.from_bytes(f"{{{text.partition(',')[2]}".encode())


def test_the_first_copy_of_a_payload_is_not_named_and_another_is(entry: Entry):
    assert b'"copy"' not in entry.to_bytes()
    other = replace(entry, copy="c" * 32)
    assert Entry.from_bytes(other.to_bytes()) == other


@pytest.mark.parametrize("copy", ["c", "../../x", "C" * 32, f"{'c' * 32}/x"])
def test_a_copy_has_a_name_that_cannot_lead_elsewhere(entry: Entry, copy: str):
    with pytest.raises(ValueError, match=r"^it does not say where its payload is$"):
        Entry.from_bytes(replace(entry, copy=copy).to_bytes())


def test_a_payload_of_more_parts_than_have_names_is_refused(entry: Entry):
    large = replace(entry, manifest=replace(entry.manifest, size_bytes=10**12))
    with pytest.raises(ValueError, match=r"^its payload has too many parts$"):
        Entry.from_bytes(replace(large, part_bytes=1).to_bytes())
    assert Entry.from_bytes(large.to_bytes()) == large


def test_whatever_can_be_read_can_be_written_again(entry: Entry):
    def refuse(manifest: str, run: str) -> None:
        text = f'{{\n"manifest": {manifest}, "part_bytes": 1, "run": {run}}}'
        with pytest.raises(ValueError, match=r"\w"):
            Entry.from_bytes(add_checksum(text).encode())

    manifest = entry.manifest.to_json()
    refuse(manifest, '{"host": "\\ud800"}')
    for depth in range(100, 1000, 100):
        deep = f"{'[' * depth}{']' * depth}"
        refuse(f'{{"parameters": {deep}}}', "{}")
        with suppress(ValueError):
            text = f'{{\n"manifest": {manifest}, "part_bytes": 8, "run": {{"x": {deep}}}}}'
            assert Entry.from_bytes(add_checksum(text).encode()).to_bytes()


def test_damage_is_told_from_what_another_version_may_say(entry: Entry):
    assert is_damaged(entry.to_bytes()[:-1])
    assert is_damaged(b"\xff")
    assert not is_damaged(add_checksum('{\n  "later": 1}').encode())
