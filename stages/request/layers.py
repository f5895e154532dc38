"""Layers of parameter files: values that know where they were written, merged, checked, and their faults worded.

Knows TOML and pydantic, but no parameter by name; those are in stages/pipeline.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from stages.errors import ParamsError
from stages.machine.credentials import hide_credentials
from stages.machine.printable import escaped
from stages.pipeline.toml_text import parse_toml, read_toml_text
from stages.request.names import near

COMMAND_LINE = "command line"
VIDEO_FILES = "params/videos/"

_MAX_SHOWN = 500  # characters of a value in a message
_MAX_BITS = 256  # of a number that is shown
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Value:
    """A value as it was found, and where."""

    value: Any
    where: str


Tables: TypeAlias = dict[str, dict[str, Value]]  # table -> name -> value


@dataclass(frozen=True)
class VideoFile:
    """What a video's file says.

    Attributes:
        where: the file, as messages name it.
        tables: the parameters that it sets.
        unread: its tables that could not be read.
        others: what stands in it under names that are no tables of parameters, as it was parsed.
    """

    where: str
    tables: Tables
    unread: Set[str]
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Faults:
    """What is wrong with the parameters of a project, a line each; collected, so that all are reported at once.

    Attributes:
        root: the project's folder.
        lines: all, in the order in which they were found.
        of_videos: by video, those of them that stop it and no other; a line that is of no video stops all.
    """

    root: Path
    lines: list[str] = field(default_factory=list)
    of_videos: dict[str, list[str]] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)  # a sweep can have a fault in each of thousands of videos
    _of_one: set[str] = field(default_factory=set)

    def add(self, line: str, video: str | None = None) -> None:
        """Note a fault, of all videos or of one; the same one twice counts once, and one of all stays one of all.

        It may quote whatever somebody has written or typed.
        """
        line = escaped(line)
        if line not in self._known:
            self._known.add(line)
            self.lines.append(line)
        elif self.stops_all(line):
            return
        if video is not None and line not in self.of_videos.setdefault(video, []):
            self._of_one.add(line)
            self.of_videos[video].append(line)

    def add_of_value(self, line: str, where: str, video: str | None) -> None:
        """Note a fault of a value that stands in `where` and was checked for one video, or for all."""
        line = escaped(line)
        if video is None or where == COMMAND_LINE or (line in self._known and self.stops_all(line)):
            self.add(line)
        elif where.startswith(VIDEO_FILES):
            self.add(line, video)
        else:
            self.add(f"{video}: {line}", video)  # a default that is wrong only beside the video's other values

    def stops_all(self, line: str) -> bool:
        """Whether a line is of no single video."""
        return line not in self._of_one

    def raise_if_any(self) -> None:
        """Raise ParamsError with all faults, if there is one that stops all."""
        if any(map(self.stops_all, self.lines)):
            raise ParamsError("\n  ".join(self.lines))

    def by_video(self) -> dict[str, ParamsError]:
        """The faults of each video that has some, as one error."""
        return {video: ParamsError("\n  ".join(lines)) for video, lines in self.of_videos.items()}


def read_toml(path: Path, faults: Faults, video: str | None = None) -> dict[str, Any] | None:
    """Parse a file, or return None when it cannot be read; what is wrong with it is added to `faults`."""
    try:
        return parse_toml(read_toml_text(path))
    except ValueError as error:  # of the text, or of the TOML in it
        fault = f"not valid TOML: {error}"
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    faults.add(f"{path.relative_to(faults.root)}: {fault}.", video)
    return None


def read_video(
    path: Path, known: Mapping[str, Iterable[str]], faults: Faults, *, video: str, others: Set[str] = frozenset()
) -> VideoFile:
    """The tables of a video's file.

    Args:
        path: the file.
        known: the tables that it may have, with the parameters of each.
        faults: takes what is wrong.
        video: whose faults they are.
        others: names that may stand in it besides, of which nothing is checked here.
    """
    where = str(path.relative_to(faults.root))
    content = read_toml(path, faults, video)
    if content is None:
        return VideoFile(where, {}, frozenset(known))
    tables: Tables = {}
    found = {name: content.pop(name) for name in others & content.keys()}
    for table, names in content.items():
        if table not in known:
            owners = [f"[{other}]" for other, parameters in known.items() if table in parameters]
            hint = (
                f" As a parameter it stands below {' or '.join(owners)}." if owners else near(table, [*known, *others])
            )
            faults.add(f"{where}, {table}: no such table.{hint}", video)
        elif not isinstance(names, dict):
            faults.add(f"{where}, {table} = {shown(names)}: must be a table, [{table}].", video)
        else:
            tables[table] = located(names, where)
    return VideoFile(where, tables, content.keys() - tables.keys(), found)


def located(values: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Values of one table with the place they stand in; those of a table inside it have names with a dot."""
    flat = {name: value for name, value in values.items() if not (isinstance(value, dict) and value)}
    inside = {
        f"{name}.{inner}": value
        for name, inner_values in values.items()
        if name not in flat
        for inner, value in inner_values.items()
    }
    return {name: Value(value, where) for name, value in {**flat, **inside}.items()}


def value_from_text(model: type[BaseModel], name: str, text: str) -> Any:
    """The value that a command line's `text` means: itself for a text parameter, otherwise as TOML reads it."""
    if model.model_json_schema()["properties"][name].get("type") == "string":
        return text
    if len(text) > _MAX_SHOWN and _WHOLE_NUMBER.fullmatch(text):
        return int(Decimal(text))  # exact; of thousands of digits neither TOML nor `int` reads any
    try:
        found = parse_toml(f"value = {text}")
    except ValueError:
        return text  # neither number nor boolean: the check names the type that it should have
    return found["value"] if len(found) == 1 else text  # a text of several lines can hold more than one value


def merge(layers: Iterable[Tables], tables: Iterable[str]) -> Tables:
    """Later layers replace the values of earlier ones, name by name."""
    merged: Tables = {table: {} for table in tables}
    for layer in layers:
        for table, values in merged.items():
            values.update(layer.get(table, {}))
    return merged


def validate(
    table: str,
    values: Mapping[str, Value],
    model: type[_Model],
    faults: Faults,
    *,
    video: str | None = None,
    file: str | None = None,
) -> _Model | None:
    """The model made of a table's values, or None with one line per fault added to `faults`.

    Args:
        table: its name.
        values: those that differ from the model's defaults.
        model: the rules, which see the project's folder as their context.
        faults: takes what is wrong.
        video: whose faults they are, unless they stand on the command line; None for those of all.
        file: the video's, to be named where a value is missing; None where another file may have it.
    """
    try:
        return model.model_validate({name: found.value for name, found in values.items()}, context=faults.root)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] != "missing":
                where = values[str(fault["loc"][0])].where
                faults.add_of_value(_describe(table, values, model, fault), where, video)
            elif file is not None:
                name = fault["loc"][0]
                faults.add(
                    f"{file}, {table}.{name}: is missing. Add `{name}` to its table [{table}], or to "
                    f"params/{table}.toml for all videos.",
                    video,
                )
        return None


# Rules of pydantic's in other words, by the types of its errors.
_RULES: Mapping[str, str] = MappingProxyType({
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a table",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must not be empty",
})  # fmt: skip


def _describe(table: str, values: Mapping[str, Value], model: type[BaseModel], fault: Any) -> str:
    """One line for one fault that pydantic found in a value: place, value, rule, how to fix it."""
    name = str(fault["loc"][0])
    found = values[name]
    if fault["type"] == "extra_forbidden":
        return f"{found.where}, {table}.{name}: no such parameter.{near(name, model.model_fields)}"
    rule = re.sub(r"^(Value error, )?(Input should be|)", lambda m: "must be" if m[2] else "", fault["msg"])
    message = _RULES.get(fault["type"], rule)
    if fault["type"] == "float_type" and type(found.value) is int:  # which no float can hold
        message = "is out of range"
    return f"{found.where}, {table}.{name} = {shown(found.value)}: {message.removesuffix('.')}."


def shown(value: Any) -> str:
    """A value as a person would write it; of one that fills a page, the begin and how long it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"a number of {Decimal(value).adjusted() + 1} digits"
    try:
        text = hide_credentials(str(value))
    except (RecursionError, ValueError):  # of what is nested, or has such a number in it
        return "a table" if isinstance(value, dict) else "a list"
    begin = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    length = "" if begin == text else f" ({len(text)} characters)"
    return f'"{begin}"{length}' if isinstance(value, str) else f"{begin}{length}"
