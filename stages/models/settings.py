"""Settings of a checkpoint's component: its JSON file, the rules a setting may have, and how faults are told.

Owns the file's form. Which settings a model has, and which rule each keeps, is said in the stages' config.py.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stages.errors import CheckpointError

MAX_COUNT = 2**16  # of layers, heads, channels, ...: far above any checkpoint, far below what fills the memory
_COPY_AGAIN = "Download or copy the checkpoint again."
_OTHER_CHECKPOINT = "Use a checkpoint of HunyuanVideo-1.5; if it is one, download or copy it again."
_WHOLE_NUMBERS = range(-(2**63), 2**63)  # of 64 bits


@dataclass(frozen=True)
class Settings:
    """A component's settings by name, and `where` they stand, for messages."""

    where: Path
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What a setting must be: in words that follow "not", and as a test of its value."""

    wanted: str
    holds: Callable[[Any], bool]


def only(value: bool | int | float | str) -> Rule:
    """The setting has this one value; where a float is wanted, JSON may have a whole number."""
    types = (int, float) if type(value) is float else (type(value),)
    return Rule(repr(value), lambda found: type(found) in types and found == value)


def count(least: int = 1, most: int = MAX_COUNT) -> Rule:
    """The setting is a whole number in this range."""
    return Rule(f"a whole number from {least} to {most}", lambda found: type(found) is int and least <= found <= most)


def above_zero(most: float = math.inf) -> Rule:
    """The setting is a finite number above 0."""
    wanted = "a finite number above 0" + (f", at most {most:g}" if most < math.inf else "")
    return Rule(wanted, lambda found: type(found) in (int, float) and 0 < found <= most and found < math.inf)


def list_of(rule: Rule, *, length: int | None = None) -> Rule:
    """The setting is a list whose entries keep `rule`: `length` of them, or any number but none."""
    return Rule(
        f"a list of {length or 'one or more'}, each {rule.wanted}",
        lambda found: (
            isinstance(found, list | tuple)
            and (len(found) == length if length else len(found) > 0)
            and all(rule.holds(entry) for entry in found)
        ),
    )


TRUE_OR_FALSE = Rule("true or false", lambda found: isinstance(found, bool))
TEXT = Rule("text", lambda found: isinstance(found, str))


def read_settings(file: Path) -> Settings:
    """Read a component's JSON file.

    Raises:
        CheckpointError: no such file, not readable, or not JSON; NaN, Infinity and numbers that neither a float nor a
            whole number of 64 bits can hold are not JSON either.
    """
    try:
        values = json.loads(
            file.read_text(encoding="utf-8"), parse_constant=_refuse, parse_float=_parse_float, parse_int=_parse_int
        )
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}). {_COPY_AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not JSON ({error}). {_COPY_AGAIN}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: not JSON with settings, but of type {type(values).__name__}. {_COPY_AGAIN}")
    return Settings(file, values)


def require_class(settings: Settings, class_name: str) -> None:
    """Raise CheckpointError when the settings are those of another class."""
    found = settings.values.get("_class_name")
    if found != class_name:
        raise CheckpointError(
            f"{settings.where}: holds {found!r}, not {class_name}. Use a checkpoint of HunyuanVideo-1.5."
        )


def name_unknown(settings: Settings, known: Iterable[str]) -> list[str]:
    """A fault for each setting that is not `known`; those with a leading underscore are the file's own."""
    names = sorted(settings.values.keys() - set(known))
    return [f"`{name}` is not a setting of this model" for name in names if not name.startswith("_")]


def break_rules(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    """A fault for each value that is missing or not what its rule wants."""
    faults = [f"`{name}` is missing" for name in rules if name not in values]
    return faults + [
        f"`{name}` is {values[name]!r}, not {rule.wanted}"
        for name, rule in rules.items()
        if name in values and not rule.holds(values[name])
    ]


def refuse_faulty(faults: Sequence[str], *, where: Path, mend: str = _OTHER_CHECKPOINT) -> None:
    """Raise CheckpointError with all faults, if there is one, and what to do about them."""
    if faults:
        raise CheckpointError("\n  ".join([f"{where}: this checkpoint cannot be run:", *faults, mend]))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def _parse_int(text: str) -> int:
    value = int(text)
    if value not in _WHOLE_NUMBERS:
        raise ValueError(f"{text} is too large")
    return value
