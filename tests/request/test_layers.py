"""Layers of parameter files."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

from stages.request.layers import Origin, Value, located, merge, near, read_toml, validate, value_from_text


class Table(BaseModel):
    text: str
    count: int
    ratio: float | None = None


class Tables(BaseModel):
    a: Table


def at_most_the_context(value: int, info: Any) -> int:
    return min(value, info.context)


class Bounded(BaseModel):
    count: Annotated[int, AfterValidator(at_most_the_context)]


class BoundedTables(BaseModel):
    a: Bounded


def origin(*unread: str) -> Origin:
    return Origin("a.toml", "Add `{name}` to [{table}].", frozenset(unread))


def test_later_layers_win_name_by_name():
    first = {"a": located({"x": 1, "y": 2}, "first"), "b": located({"z": 3}, "first")}
    second = {"a": located({"y": 5}, "second")}
    assert merge([first, second], ["a", "b"]) == {
        "a": {"x": Value(1, "first"), "y": Value(5, "second")},
        "b": {"z": Value(3, "first")},
    }


def test_merging_leaves_the_layers_as_they_were():
    first = {"a": located({"x": 1}, "first")}
    merge([first, {"a": located({"x": 2}, "second")}], ["a"])
    assert first["a"]["x"].value == 1


def test_text_means_what_its_parameter_is():
    assert value_from_text(Table, "text", "42") == "42"
    assert value_from_text(Table, "count", "42") == 42
    assert value_from_text(Table, "ratio", "1e3") == 1000.0
    assert value_from_text(Table, "count", "many") == "many"


@pytest.mark.parametrize("text", ["1\nother = 2", "1\n[other]", "[" * 5000, ""])
def test_text_that_is_not_one_value_stays_text(text: str):
    assert value_from_text(Table, "count", text) == text


def test_a_missing_value_is_told_with_its_place():
    faults: list[str] = []
    assert validate({"a": located({"text": "x"}, "a.toml")}, Tables, origin(), faults) is None
    assert faults == ["a.toml, a.count: is missing. Add `count` to [a]."]


def test_rules_see_the_context():
    faults: list[str] = []
    checked = validate({"a": located({"count": 9}, "a.toml")}, BoundedTables, origin(), faults, context=5)
    assert checked == BoundedTables.model_construct(a=Bounded.model_construct(count=5))
    assert faults == []


def test_nothing_is_missing_where_nothing_could_be_read():
    faults: list[str] = []
    assert validate({"a": {}}, Tables, origin("a"), faults) is None
    assert faults == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "a.toml: no such file. Restore it from the repository."),
        (b"x", "a.toml: not valid TOML: Expected '=' after a key in a key/value pair (at end of document)."),
        (b"\xff", "a.toml: not valid TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte."),
        (b"x = " + b"[" * 5000, "a.toml: not valid TOML: nested too deep."),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, fault: str):
    if content is not None:
        (tmp_path / "a.toml").write_bytes(content)
    faults: list[str] = []
    assert read_toml(tmp_path / "a.toml", tmp_path, faults) is None
    assert faults == [fault]


def test_a_near_name_is_offered_only_when_it_is_near():
    assert near("sed", ["seed", "width"]) == " Did you mean `seed`?"
    assert near("colour", ["seed", "width"]) == ""
