"""Layers of parameter files."""

from pydantic import BaseModel

from stages.param_files import Value, located, merge, near, value_from_text


class Table(BaseModel):
    text: str
    count: int
    ratio: float | None = None


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


def test_a_near_name_is_offered_only_when_it_is_near():
    assert near("sed", ["seed", "width"]) == " Did you mean `seed`?"
    assert near("colour", ["seed", "width"]) == ""
