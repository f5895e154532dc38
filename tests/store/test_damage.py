"""Marks: what is damaged is made again, what is whole or collected stays."""

from pathlib import Path

import pytest

from stages.store.artifacts import Store
from stages.store.collector import collect_payload, drop_record
from stages.store.damage import Damage, mark
from stages.store.manifest import COLLECTED, DAMAGED_RUN, FORGOTTEN, MANIFEST, RUN
from stages.store.verification import find_artifacts, verify
from tests.builders import CODE, acting_as_nobody, build_chain, publish

ENCODE, DENOISE = build_chain(prompt="x")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two artifacts."""
    store = Store(tmp_path / "artifacts")
    publish(store, ENCODE)
    publish(store, DENOISE, b"latents")
    return store


def flip(path: Path, place: int = 0) -> None:
    """Change a bit of a file, in place."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def find_damage(store: Store) -> list[Damage]:
    """What another process finds in the whole store."""
    return list(verify(Store(store.root), find_artifacts(store.root)).damaged)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"host": "there"}', "[" * 100_000])
def test_a_damaged_run_json_is_named_and_costs_no_result(store: Store, content: str):
    path = store.folder(DENOISE.artifact) / RUN
    path.write_text(content)
    (damage,) = find_damage(store)
    assert not damage.is_lost
    assert [fault.message for fault in damage.faults] == [
        f"{path}: is not what was written; it only says how the result was made"
    ]
    assert Store(store.root).verdict(DENOISE, CODE).is_fresh
    assert mark(store, [damage]) == {}
    assert path.with_name(DAMAGED_RUN).read_text() == content
    assert find_damage(store) == []
    assert Store(store.root).verdict(DENOISE, CODE).is_fresh


def test_what_is_marked_is_made_again_and_the_bytes_are_compared(store: Store):
    path = store.payload(DENOISE.artifact)
    flip(path)
    assert mark(store, find_damage(store)) == {}
    assert Store(store.root).verdict(DENOISE, CODE).state == "forgotten"
    again = publish(store, DENOISE, b"latents")
    assert (again.is_same_as_before, again.was_damaged) == (False, True)
    assert find_damage(store) == []


def test_a_damaged_manifest_needs_no_mark(store: Store):
    folder = store.folder(DENOISE.artifact)
    flip(folder / MANIFEST, 40)
    (damage,) = find_damage(store)
    assert damage.is_lost
    assert mark(store, [damage]) == {}
    assert not (folder / FORGOTTEN).exists()
    assert Store(store.root).verdict(DENOISE, CODE).state == "corrupt"


def test_what_was_made_again_since_it_was_read_is_not_marked(store: Store):
    flip(store.payload(DENOISE.artifact))
    damaged = find_damage(store)
    publish(store, DENOISE, b"latents")
    assert mark(store, damaged) == {}
    assert Store(store.root).verdict(DENOISE, CODE).is_fresh


def test_the_record_of_a_payload_that_was_about_to_be_collected_stays(store: Store):
    """A gc that is ended in between leaves the mark, and the payload, of which a byte has changed."""
    folder = store.folder(DENOISE.artifact)
    flip(store.payload(DENOISE.artifact))
    (folder / RUN).rename(folder / COLLECTED)
    (damage,) = find_damage(store)
    assert mark(store, [damage]) == {}
    assert (folder / MANIFEST).is_file()
    assert Store(store.root).verdict(DENOISE, CODE).state == "corrupt"


def test_what_may_not_be_marked_is_said(store: Store):
    flip(store.payload(DENOISE.artifact))
    damaged = find_damage(store)
    with acting_as_nobody(store.root):
        assert mark(store, damaged) == {DENOISE.artifact: "Permission denied"}
    assert store.manifest(DENOISE.artifact) is not None


def test_a_run_json_that_was_put_aside_goes_with_the_record(store: Store):
    (store.folder(DENOISE.artifact) / RUN).write_text("{")
    mark(store, find_damage(store))
    collect_payload(store.folder(DENOISE.artifact), store.payload(DENOISE.artifact).name)
    drop_record(store.folder(DENOISE.artifact))
    assert not store.folder(DENOISE.artifact).exists()
