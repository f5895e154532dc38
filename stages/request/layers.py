"""Layers of parameter files: values that know where they were written, merged, checked, and their faults worded.

Knows TOML and pydantic, but no parameter by name; those are in stages/pipeline.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from stages.errors import ParamsError

COMMAND_LINE = "command line"

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Value:
    """A value as it was found, and where."""

    value: Any
    where: str


Tables: TypeAlias = dict[str, dict[str, Value]]  # table -> name -> value


@dataclass(frozen=True)
class VideoFile:
    """What a video's file says, and which of its tables could not be read."""

    tables: Tables
    unread: Set[str]


@dataclass
class Faults:
    """What is wrong with the parameters of a project, a line each; collected, so that all are reported at once."""

    root: Path
    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Note a fault; the same one twice counts once."""
        if line not in self.lines:
            self.lines.append(line)

    def raise_if_any(self) -> None:
        """Raise ParamsError with all faults, if there is one."""
        if self.lines:
            raise ParamsError("\n  ".join(self.lines))


def read_toml(path: Path, faults: Faults) -> dict[str, Any] | None:
    """Parse a file, or return None when it cannot be read; what is wrong with it is added to `faults`."""
    where = path.relative_to(faults.root)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.add(f"{where}: not valid TOML: {error}.")
    except RecursionError:
        faults.add(f"{where}: not valid TOML: nested too deep.")
    except OSError as error:
        faults.add(f"{where}: cannot be read: {error.strerror}.")
    return None


def read_video(path: Path, known: Iterable[str], faults: Faults) -> VideoFile:
    """The tables of a video's file, which are to be among `known`."""
    where = str(path.relative_to(faults.root))
    content = read_toml(path, faults)
    if content is None:
        return VideoFile({}, frozenset(known))
    tables: Tables = {}
    for table, names in content.items():
        if table not in known:
            faults.add(f"{where}, {table}: no such table.{near(table, known)}")
        elif not isinstance(names, dict):
            faults.add(f"{where}, {table} = {names!r}: must be a table, [{table}].")
        else:
            tables[table] = located(names, where)
    return VideoFile(tables, content.keys() - tables.keys())


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
    try:
        found = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
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
) -> _Model | None:
    """The model made of a table's values, or None with one line per fault added to `faults`.

    Args:
        table: its name.
        values: those that differ from the model's defaults.
        model: the rules, which see the project's folder as their context.
        faults: takes what is wrong.
        video: the file to name where a value is missing; None where another file may have it.
    """
    try:
        return model.model_validate({name: found.value for name, found in values.items()}, context=faults.root)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] != "missing":
                faults.add(_describe(table, values, model, fault))
            elif video is not None:
                name = fault["loc"][0]
                faults.add(
                    f"{video}, {table}.{name}: is missing. Add `{name}` to its table [{table}], or to "
                    f"params/{table}.toml for all videos."
                )
        return None


def _describe(table: str, values: Mapping[str, Value], model: type[BaseModel], fault: Any) -> str:
    """One line for one fault that pydantic found in a value: place, value, rule, how to fix it."""
    name = str(fault["loc"][0])
    found = values[name]
    if fault["type"] == "extra_forbidden":
        return f"{found.where}, {table}.{name}: no such parameter.{near(name, model.model_fields)}"
    message = re.sub(r"^(Value error, )?(Input should be|)", lambda m: "must be" if m[2] else "", fault["msg"])
    return f"{found.where}, {table}.{name} = {_shown(found.value)}: {message.removesuffix('.')}."


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def near(name: str, names: Iterable[str]) -> str:
    """ " Did you mean `...`?" when one of `names` looks like `name`, otherwise nothing."""
    return "".join(f" Did you mean `{match}`?" for match in difflib.get_close_matches(name, list(names), n=1))
