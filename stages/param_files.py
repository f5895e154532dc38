"""Layers of parameter files: values that know where they were written, merged, checked, and their faults told.

Knows TOML and pydantic, but no parameter by name; those are in params.py.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

COMMAND_LINE = "command line"

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Value:
    """A value as it was found, and where."""

    value: Any
    where: str


Tables: TypeAlias = dict[str, dict[str, Value]]  # table -> name -> value


def read_toml(path: Path, root: Path, faults: list[str]) -> dict[str, Any]:
    """Parse a file; what is wrong with it is added to `faults`, and it counts as empty."""
    where = path.relative_to(root)
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        faults.append(f"{where}: no such file. Restore it from the repository.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{where}: not valid TOML: {error}.")
    except OSError as error:
        faults.append(f"{where}: cannot be read: {error.strerror}.")
    return {}


def located(values: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Values of one table with the place they stand in."""
    return {name: Value(value, where) for name, value in values.items()}


def value_from_text(model: type[BaseModel], name: str, text: str) -> Any:
    """The value that a command line's `text` means: itself for a text parameter, otherwise as TOML reads it."""
    if model.model_json_schema()["properties"][name].get("type") == "string":
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # neither number nor boolean: the check names the type that it should have


def merge(layers: Iterable[Tables], tables: Iterable[str]) -> Tables:
    """Later layers replace the values of earlier ones, name by name."""
    merged: Tables = {table: {} for table in tables}
    for layer in layers:
        for table, values in merged.items():
            values.update(layer.get(table, {}))
    return merged


def validate(values: Tables, model: type[_Model], missing_in: str, faults: list[str]) -> _Model | None:
    """The model made of `values`, or None with one line per fault added to `faults`.

    `missing_in` is the file to name when a value is missing.
    """
    plain = {table: {name: found.value for name, found in names.items()} for table, names in values.items()}
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        faults += [_describe(values, model, fault, missing_in) for fault in error.errors()]
        return None


def _describe(values: Tables, model: type[BaseModel], fault: Any, missing_in: str) -> str:
    """One line for one fault that pydantic found: place, value, rule, mend."""
    table, name = (str(part) for part in fault["loc"][:2])
    dotted = f"{table}.{name}"
    if fault["type"] == "missing":
        return f"{missing_in}, {dotted}: is missing. Add `{name}` to its table [{table}]."
    found = values[table][name]
    if fault["type"] == "extra_forbidden":
        fields: Any = model.model_fields[table].annotation
        return f"{found.where}, {dotted}: no such parameter.{near(name, fields.model_fields)}"
    message = re.sub(r"^(Value error, )?(Input should be|)", lambda m: "must be" if m[2] else "", fault["msg"])
    return f"{found.where}, {dotted} = {_shown(found.value)}: {message.removesuffix('.')}."


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def near(name: str, names: Iterable[str]) -> str:
    """ " Did you mean `...`?" when one of `names` looks like `name`, otherwise nothing."""
    return "".join(f" Did you mean `{match}`?" for match in difflib.get_close_matches(name, list(names), n=1))
