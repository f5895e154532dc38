"""Layers of parameter files."""

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

from stages.errors import ParamsError
from stages.request.layers import (
    COMMAND_LINE,
    Faults,
    Value,
    located,
    merge,
    read_toml,
    read_video,
    validate,
    value_from_text,
)


class Table(BaseModel):
    text: str
    count: int
    ratio: float | None = None


def in_the_project(value: str, info: Any) -> str:
    return str(info.context / value)


class Located(BaseModel):
    file: Annotated[str, AfterValidator(in_the_project)]


@pytest.fixture
def faults() -> Faults:
    return Faults(Path("/root"))


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


def test_a_missing_value_of_a_video_is_reported_with_its_place(faults: Faults):
    assert validate("a", located({"text": "x"}, "a.toml"), Table, faults, video="v", file="v.toml") is None
    assert faults.lines == [
        "v.toml, a.count: is missing. Add `count` to its table [a], or to params/a.toml for all videos."
    ]


def test_rules_see_the_projects_folder(faults: Faults):
    assert validate("a", located({"file": "x"}, "a.toml"), Located, faults) == Located.model_construct(file="/root/x")
    assert faults.lines == []


def test_nothing_is_missing_where_another_file_may_have_it(faults: Faults):
    assert validate("a", {}, Table, faults) is None
    assert faults.lines == []


def test_a_fault_that_is_met_twice_is_reported_once(faults: Faults):
    for _ in range(2):
        validate("a", located({"text": 1, "count": 1}, "a.toml"), Table, faults)
    assert faults.lines == ["a.toml, a.text = 1: must be text."]


def test_all_faults_are_one_error(faults: Faults):
    faults.raise_if_any()
    faults.add("one")
    faults.add("two")
    with pytest.raises(ParamsError) as error:
        faults.raise_if_any()
    assert str(error.value) == "one\n  two"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "a.toml: cannot be read: No such file or directory."),
        (b"x", "a.toml: not valid TOML: Expected '=' after a key in a key/value pair (at end of document)."),
        (
            b"\xff",
            "a.toml: not valid TOML: line 1 has a byte that is not UTF-8, 0xff. Save the file as UTF-8 in the editor.",
        ),
        (
            "x = 1".encode("utf-16"),
            "a.toml: not valid TOML: the file is UTF-16, and TOML is UTF-8. Save it as UTF-8 in the editor.",
        ),
        (b"x = " + b"[" * 5000, "a.toml: not valid TOML: nested too deep."),
    ],
)
def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path, content: bytes | None, fault: str):
    if content is not None:
        (tmp_path / "a.toml").write_bytes(content)
    faults = Faults(tmp_path)
    assert read_toml(tmp_path / "a.toml", faults) is None
    assert faults.lines == [fault]


def test_tables_of_a_video_that_are_none_are_reported_with_a_near_name(tmp_path: Path):
    (tmp_path / "v.toml").write_text("x = 1\n[encod]\n[encode]\nprompt = 'p'\n")
    faults = Faults(tmp_path)
    found = read_video(tmp_path / "v.toml", {"encode": ["prompt"], "x": []}, faults, video="v")
    assert found.tables == {"encode": {"prompt": Value("p", "v.toml")}}
    assert found.unread == {"x", "encod"}
    assert faults.lines == [
        "v.toml, x = 1: must be a table, [x].",
        "v.toml, encod: no such table. Did you mean `encode`?",
    ]


def test_names_that_are_no_tables_of_parameters_are_given_back_as_they_are(tmp_path: Path):
    (tmp_path / "v.toml").write_text("[encode]\n[sweep]\nx = [1]\n[swep]\n")
    faults = Faults(tmp_path)
    found = read_video(tmp_path / "v.toml", {"encode": ["prompt"]}, faults, video="v", others={"sweep", "draft"})
    assert (found.others, found.unread) == ({"sweep": {"x": [1]}}, {"swep"})
    assert faults.lines == ["v.toml, swep: no such table. Did you mean `sweep`?"]


def test_a_parameter_that_stands_outside_of_its_table_is_shown_where_it_belongs(tmp_path: Path):
    (tmp_path / "v.toml").write_text("dtype = 'float32'\n")
    faults = Faults(tmp_path)
    read_video(tmp_path / "v.toml", {"encode": ["prompt", "dtype"], "decode": ["dtype"]}, faults, video="v")
    assert faults.lines == ["v.toml, dtype: no such table. As a parameter it stands below [encode] or [decode]."]


def test_a_fault_of_one_video_is_its_own_error(faults: Faults):
    faults.add("first", "a")
    faults.add("second", "a")
    faults.add("third", "b")
    faults.raise_if_any()
    assert {video: str(error) for video, error in faults.by_video().items()} == {"a": "first\n  second", "b": "third"}


def test_beside_a_fault_of_all_those_of_videos_are_reported_in_the_order_in_which_they_were_found(faults: Faults):
    faults.add("of a", "a")
    faults.add("of all")
    faults.add("of b", "b")
    with pytest.raises(ParamsError) as error:
        faults.raise_if_any()
    assert str(error.value) == "of a\n  of all\n  of b"


def test_a_fault_of_all_does_not_become_one_of_a_video(faults: Faults):
    faults.add("one")
    faults.add("one", "a")
    assert faults.by_video() == {}


@pytest.mark.parametrize(
    ("where", "line", "stops_all"),
    [
        ("params/videos/v.toml", "params/videos/v.toml, a.text = 1: must be text.", False),
        ("params/a.toml", "v: params/a.toml, a.text = 1: must be text.", False),
        (COMMAND_LINE, "command line, a.text = 1: must be text.", True),
    ],
)
def test_a_wrong_value_of_a_video_stops_all_if_it_was_typed(faults: Faults, where: str, line: str, stops_all: bool):
    validate("a", located({"text": 1, "count": 1}, where), Table, faults, video="v")
    assert faults.lines == [line]
    assert faults.stops_all(line) == stops_all


def test_a_default_that_is_wrong_by_itself_is_a_fault_of_all_and_reported_once(faults: Faults):
    values = located({"text": 1, "count": 1}, "params/a.toml")
    validate("a", values, Table, faults)
    validate("a", values, Table, faults, video="v")
    assert faults.lines == ["params/a.toml, a.text = 1: must be text."]
    assert faults.by_video() == {}
