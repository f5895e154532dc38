"""Pins: what is written, and that none is lost or misread."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stages.errors import StoreError
from stages.keys import ArtifactId, Key
from stages.store.pins import Pin, Pins, who_and_when

EXPORT = ArtifactId("export", Key("e" * 32))
DECODE = ArtifactId("decode", Key("d" * 32))
PIN = Pin(EXPORT, (DECODE,), name="demo", note="für Montag", by="ann@host", since="2026-11-29T10:00:00+00:00")


@pytest.fixture
def pins(tmp_path: Path) -> Pins:
    return Pins(tmp_path)


def file_of(pins: Pins) -> Path:
    (file,) = pins.files()
    return file


def test_a_pin_is_read_as_it_was_written(pins: Pins):
    assert pins.add(PIN) is None
    assert pins.read() == [PIN]
    assert Pin.from_json(PIN.to_json()) == PIN


def test_without_pins_nothing_is_created(pins: Pins, tmp_path: Path):
    assert pins.read() == []
    assert [*tmp_path.iterdir()] == []


def test_pins_are_listed_the_oldest_first(pins: Pins):
    pins.add(PIN)
    pins.add(replace(PIN, artifact=DECODE, made_from=(), since="2020-01-01T00:00:00+00:00"))
    assert [pin.artifact for pin in pins.read()] == [DECODE, EXPORT]


def test_what_is_pinned_already_keeps_its_pin_and_says_whose_it_is(pins: Pins):
    pins.add(PIN)
    assert pins.add(replace(PIN, note="", by="bob@host")) == PIN
    assert pins.read() == [PIN]


def test_a_new_note_takes_the_place_of_the_old_one_and_the_pin_keeps_its_time(pins: Pins):
    pins.add(PIN)
    pins.add(replace(PIN, note="for Tuesday", by="bob@host", since="2030-01-01T00:00:00+00:00"))
    assert pins.read() == [replace(PIN, note="for Tuesday")]


def test_an_artifact_that_is_pinned_as_a_video_too_gets_its_name_and_keeps_its_note(pins: Pins):
    pins.add(replace(PIN, name="", made_from=()))
    pins.add(replace(PIN, note=""))
    assert pins.read() == [PIN]


def test_a_pin_that_was_taken_away_is_gone(pins: Pins):
    pins.add(PIN)
    assert pins.remove(PIN)
    assert not pins.remove(PIN)
    assert pins.read() == []


def test_a_file_that_is_half_written_is_no_pin(pins: Pins, tmp_path: Path):
    pins.add(PIN)
    (tmp_path / "pins" / f".{file_of(pins).name}-0123456789abcdef").write_text("{")
    assert pins.read() == [PIN]


FIELDS = json.loads(PIN.to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        *(json.dumps({name: value for name, value in FIELDS.items() if name != missing}) for missing in FIELDS),
        json.dumps(FIELDS | {"note": 1}),
        json.dumps(FIELDS | {"artifact": {"stage": "../x", "key": "e" * 32}}),
        json.dumps(FIELDS | {"artifact": {"stage": "export", "key": "e" * 31}}),
        json.dumps(FIELDS | {"made_from": [{"stage": "decode", "key": "../../.."}]}),
        json.dumps(FIELDS | {"made_from": "decode"}),
    ],
)
def test_a_damaged_pin_is_an_error_and_not_no_pin(pins: Pins, text: str):
    pins.add(PIN)
    file_of(pins).write_text(text)
    with pytest.raises(
        StoreError, match=r"cannot be read \(.*\)\. It says what is pinned: correct it, or delete it and"
    ):
        pins.read()


def test_an_empty_pin_is_said_to_be_empty(pins: Pins):
    pins.add(PIN)
    file_of(pins).write_text("")
    with pytest.raises(StoreError) as caught:
        pins.read()
    assert str(caught.value).startswith(f"{file_of(pins)}: cannot be read (it is empty). It says what is pinned: ")


def test_a_pipe_in_place_of_a_pin_is_not_waited_for(pins: Pins):
    pins.add(PIN)
    file = file_of(pins)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(StoreError) as caught:
        pins.read()
    assert str(caught.value) == (
        f"{file}: cannot be read (is a FIFO, not a file). It says what is pinned: correct it, or delete it and pin "
        "that again. Until then nothing is deleted."
    )


def test_of_a_number_of_thousands_of_digits_there_is_no_advice_for_programmers(pins: Pins):
    pins.add(PIN)
    file_of(pins).write_text('{"artifact": ' + "9" * 5000 + "}")
    with pytest.raises(StoreError) as caught:
        pins.read()
    assert str(caught.value) == (
        f"{file_of(pins)}: cannot be read (it has a number of thousands of digits). It says what is pinned: correct "
        "it, or delete it and pin that again. Until then nothing is deleted."
    )


def test_a_pin_that_is_not_called_as_its_artifact_is_an_error(pins: Pins):
    pins.add(PIN)
    file = file_of(pins)
    file.rename(file.with_name("backup.json"))
    with pytest.raises(StoreError) as caught:
        pins.read()
    assert str(caught.value) == (
        f"{file.with_name('backup.json')}: cannot be read (it is the pin of {file.stem}, and is not called so). It "
        "says what is pinned: correct it, or delete it and pin that again. Until then nothing is deleted."
    )


def test_a_note_that_is_no_text_is_kept_as_it_was_typed(pins: Pins):
    pins.add(replace(PIN, note="caf\udce9"))
    assert [pin.note for pin in pins.read()] == ["caf\udce9"]


def test_a_pin_that_is_taken_away_while_others_are_read_is_none(pins: Pins, monkeypatch: pytest.MonkeyPatch):
    pins.add(PIN)
    pins.add(replace(PIN, artifact=DECODE, made_from=()))
    files = pins.files()
    pins.remove(PIN)
    monkeypatch.setattr(pins, "files", lambda: files)
    assert [pin.artifact for pin in pins.read()] == [DECODE]


def test_a_pin_that_was_written_again_is_another_version(pins: Pins):
    versions = []
    for note in ("one", "two", "three"):
        pins.add(replace(PIN, note=note))
        versions.append(pins.versions())
    assert len({*versions}) == 3


def test_a_pin_that_cannot_be_written_is_an_error_and_nothing_is_pinned(pins: Pins, tmp_path: Path):
    (tmp_path / "pins").write_text("in its place")
    with pytest.raises(StoreError) as caught:
        pins.add(PIN)
    assert str(caught.value) == (
        f"{tmp_path / 'pins' / EXPORT.stage}-{EXPORT.key}.json: cannot be written (File exists). Make room or fix its "
        "permissions."
    )


def test_who_pins_and_when_is_known():
    fields = who_and_when()
    assert "@" in fields["by"]
    assert fields["since"].endswith("+00:00")
