"""`python -m stages.request.parameters_page`: a page of all parameters of the project in the current folder.

docs/parameters.md is that of this repository. Everything on it comes from the declarations: types, bounds and defaults
from the fields of the tables, and what they mean from the tables' docstrings.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stages.errors import StagesError
from stages.pipeline.rules import Drafted, OnlyWith, Table
from stages.pipeline.stages import Pipeline, read_pipeline
from stages.request.params import tables_of_video
from stages.request.tables import MachineParams

_HEAD: Final = """\
# Parameters

What `python -m stages.request.parameters_page` prints, from the declarations of the stages.

A value is set in `params/<table>.toml` for all videos, in a table of that name in a video's file for that one, or on
the command line: `doit denoise.seed=7`. What is set nowhere has its default. `[sweep]` and `[draft]` in a video's file
give parameters several values, and those of its draft ([videos.md](videos.md#sweeps)).
"""
_COLUMNS: Final = "| parameter | default | values | |\n|---|---|---|---|\n"
_NOTES: Final[Mapping[str, str]] = {
    "model": "Which weights. Another component counts from the first stage on that reads it.",
    "machine": "On what it is made. Nothing here is part of a key; another store makes a stage run again, and no more.",
}
_KINDS: Final[Mapping[Any, str]] = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}
_PART: Final = "components."  # of names of the model's table, one for each component
_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_PAGE: Final = re.compile(r"docs/([\w-]+\.md)")
_LARGEST_SHOWN: Final = 10**9  # larger bounds are powers of 2


def describe_parameters(pipeline: Pipeline) -> str:
    """The page, in Markdown, whose links start in docs/."""
    tables = tables_of_video(pipeline)
    sections = [_describe_table(name, table, _note(name, pipeline)) for name, table in tables.items()]
    return "\n".join([_HEAD, *sections, _describe_table("machine", MachineParams, _NOTES["machine"])])


def meanings_of(table: type[Table]) -> dict[str, str]:
    """What a table's docstring says of its parameters, below `Attributes:`, on one line each."""
    attributes = (inspect.getdoc(table) or "").partition("\nAttributes:\n")[2]
    return {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}


def _note(name: str, pipeline: Pipeline) -> str:
    if name in _NOTES:
        return _NOTES[name]
    stage = pipeline[name]
    later = pipeline.names[pipeline.names.index(name) :]
    return f"{stage.summary[:1].upper()}{stage.summary[1:]}. A change of one makes {', '.join(later)} again."


def _describe_table(name: str, table: type[Table], note: str) -> str:
    return f"## {name}\n\n{note}\n\n{_COLUMNS}{''.join(_rows(table))}"


def _rows(table: type[Table]) -> Iterator[str]:
    meanings = meanings_of(table)
    parts = [name.removeprefix(_PART) for name in table.model_fields if name.startswith(_PART)]
    for name, field in table.model_fields.items():
        if name.startswith(_PART):
            continue  # they have one row, that of the table of them
        meaning, shown, described = meanings.get(name, ""), name, field
        sentences = [f"{meaning[:1].upper()}{meaning[1:]}", *_effects(field)]
        if parts and f"{name}." == _PART:
            shown, described = f"{_PART}<name>", table.model_fields[f"{_PART}{parts[0]}"]
            sentences.append(f"The names: {', '.join(parts)}.")
        cells = (f"`{shown}`", _default(described), _values(described), " ".join(filter(None, sentences)))
        yield f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    """A text as a cell of a table, in which names of pages are links."""
    return _PAGE.sub(r"[\1](\1)", text.replace("|", r"\|"))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none: each video has its own"
    return "unset" if field.default is None else f"`{json.dumps(field.default, ensure_ascii=False)}`"


def _values(field: FieldInfo) -> str:
    """The kind of value, and its bounds."""
    typed = [rule.json_schema_input_type for rule in field.metadata if isinstance(rule, BeforeValidator)]
    annotation = next((each for each in typed if each is not PydanticUndefined), field.annotation)
    kinds = [each for each in _members(annotation) if each is not type(None)]
    rules = [*field.metadata, *(rule for part in get_args(field.annotation) for rule in _rules(part))]
    text = " or ".join(_KINDS[kind] if kind in _KINDS else _choices(kind) for kind in kinds)
    least, most = (next((rule for rule in rules if isinstance(rule, kind)), None) for kind in (Ge, Le))
    if isinstance(least, Ge) and isinstance(most, Le):
        return f"{text}, {_number(least.ge)} to {_number(most.le)}"
    return text


def _members(annotation: Any) -> Iterator[Any]:
    """The types of a union without what is annotated to them; a Literal stays."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    elif hasattr(annotation, "__metadata__"):
        yield from _members(get_args(annotation)[0])
    else:
        for member in get_args(annotation):
            yield from _members(member)


def _rules(part: Any) -> Iterator[Any]:
    for rule in getattr(part, "__metadata__", ()):
        yield from rule.metadata if isinstance(rule, FieldInfo) else (rule,)


def _choices(literal: Any) -> str:
    return ", ".join(f"`{json.dumps(value)}`" for value in get_args(literal))


def _number(bound: Any) -> str:
    if bound > _LARGEST_SHOWN:
        return f"2^{(bound + 1).bit_length() - 1} - 1"
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _effects(field: FieldInfo) -> Iterator[str]:
    """What the marks of a field say to people."""
    for mark in field.metadata:
        if isinstance(mark, OnlyWith):
            yield f"Has an effect only with `{mark.name}`."
        if isinstance(mark, Drafted) and (drafted := mark.of(field.default)) != field.default:
            yield f"A draft of the default has {drafted}."


if __name__ == "__main__":
    try:
        print(describe_parameters(read_pipeline(Path.cwd())), end="")
    except StagesError as fault:
        sys.exit(f"{type(fault).__name__}: {fault}")
