"""Layers of parameter files: values that know where they were written, merged, checked, and their faults told.

Knows TOML and pydantic, but no parameter by name; those are in params.py.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Set
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


@dataclass(frozen=True)
class Origin:
    """Where values come from, as far as a message about one that is missing needs it.

    Attributes:
        file: the file to name.
        mend: where to add the value; a format of `name` and `table`.
        unread: tables whose files could not be read: nothing can be said to be missing in them.
    """

    file: str
    mend: str
    unread: Set[str]


def read_toml(path: Path, root: Path, faults: list[str]) -> dict[str, Any] | None:
    """Parse a file, or return None when it cannot be read; what is wrong with it is added to `faults`."""
    where = path.relative_to(root)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        faults.append(f"{where}: no such file. Restore it from the repository.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{where}: not valid TOML: {error}.")
    except RecursionError:
        faults.append(f"{where}: not valid TOML: nested too deep.")
    except OSError as error:
        faults.append(f"{where}: cannot be read: {error.strerror}.")
    return None


def located(values: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Values of one table with the place they stand in."""
    return {name: Value(value, where) for name, value in values.items()}


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
    values: Tables, model: type[_Model], origin: Origin, faults: list[str], *, context: object = None
) -> _Model | None:
    """The model made of `values`, or None with one line per fault added to `faults`; its rules see `context`."""
    plain = {table: {name: found.value for name, found in names.items()} for table, names in values.items()}
    try:
        return model.model_validate(plain, context=context)
    except ValidationError as error:
        found = [fault for fault in error.errors() if not _is_unread(fault, origin)]
        faults += [_describe(values, model, fault, origin) for fault in found]
        return None


def _is_unread(fault: Any, origin: Origin) -> bool:
    return fault["type"] == "missing" and fault["loc"][0] in origin.unread


def _describe(values: Tables, model: type[BaseModel], fault: Any, origin: Origin) -> str:
    """One line for one fault that pydantic found: place, value, rule, mend."""
    table, name = (str(part) for part in fault["loc"][:2])
    dotted = f"{table}.{name}"
    if fault["type"] == "missing":
        return f"{origin.file}, {dotted}: is missing. {origin.mend.format(name=name, table=table)}"
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
