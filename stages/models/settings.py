"""Settings of a checkpoint component: its JSON file, the rules that a setting can have, and messages about faults.

Owns the form of the file. The config.py of each stage declares which settings a model has, and the rule of each.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from stages.errors import CheckpointError
from stages.machine.json_files import decode_json, parse_json
from stages.machine.regular_files import read_regular
from stages.models.wording import quote

MAX_COUNT = 2**16  # of layers, heads, channels, ...: far above any checkpoint, far below what fills the memory
_COPY_AGAIN = "Download or copy the checkpoint again."
_OTHER_CHECKPOINT = "Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."
_KNOWN = (0, 42)  # the latest version of diffusers whose settings of these classes were looked at
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.|$)")
_WHOLE_NUMBERS = range(-(2**63), 2**63)  # of 64 bits


@dataclass(frozen=True)
class Settings:
    """The settings of a component by name, and the file that holds them."""

    where: Path
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What a setting must be: `wanted`, in words that can follow "not", and `holds`, as a test of its value."""

    wanted: str
    holds: Callable[[Any], bool]


def only(value: bool | int | float | str) -> Rule:
    """The setting has this value and no other; for a float, JSON may have an integer of the same value."""
    types = (int, float) if type(value) is float else (type(value),)
    return Rule(repr(value), lambda found: type(found) in types and found == value)


def count(least: int = 1, most: int = MAX_COUNT) -> Rule:
    """The setting is an integer in this range, both ends included."""
    return Rule(f"a whole number from {least} to {most}", lambda found: type(found) is int and least <= found <= most)


def above_zero(most: float = math.inf) -> Rule:
    """The setting is a finite number above 0 and at most `most`."""
    wanted = "a finite number above 0" + (f", at most {most:g}" if most < math.inf else "")
    return Rule(wanted, lambda found: type(found) in (int, float) and 0 < found <= most and found < math.inf)


def list_of(rule: Rule, *, length: int | None = None) -> Rule:
    """The setting is a list whose entries keep `rule`: `length` of them, or at least one."""
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
        CheckpointError: the file is missing, cannot be read, or is not JSON. NaN, Infinity and numbers that do not
            fit in a float or a 64-bit integer are not accepted as JSON either.
    """
    try:
        text = decode_json(read_regular(file))
        values = parse_json(text, parse_constant=_refuse, parse_float=_parse_float, parse_int=_parse_int)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}). {_COPY_AGAIN}") from error
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON ({error}). {_COPY_AGAIN}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: not JSON with settings, but of type {type(values).__name__}. {_COPY_AGAIN}")
    return Settings(file, values)


def require_class(settings: Settings, class_name: str) -> None:
    """Raise CheckpointError when the settings are those of another class."""
    found = settings.values.get("_class_name")
    if found != class_name:
        raise CheckpointError(
            f"{settings.where}: holds {quote(repr(found))}, not {class_name}. Use a checkpoint of HunyuanVideo-1.5."
        )


def find_unknown(settings: Settings, known: Iterable[str]) -> list[str]:
    """A message for each setting that is not `known`; diffusers' own start with an underscore and are skipped."""
    names = [name for name in sorted(settings.values.keys() - set(known)) if not name.startswith("_")]
    faults = [f"`{quote(name)}` is not a setting of this model" for name in names]
    version = str(settings.values.get("_diffusers_version", ""))
    if faults and _is_newer(version):
        faults.append(f"it was written by diffusers {version}, and what is known here is {_KNOWN[0]}.{_KNOWN[1]}")
    return faults


def _is_newer(version: str) -> bool:
    numbers = _VERSION.match(version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) > _KNOWN


def find_faults(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    """A message for each value that is missing or breaks its rule."""
    faults = [f"`{name}` is missing" for name in rules if name not in values]
    return faults + [
        f"`{name}` is {quote(repr(values[name]))}, not {rule.wanted}"
        for name, rule in rules.items()
        if name in values and not rule.holds(values[name])
    ]


def refuse_faulty(faults: Sequence[str], *, where: Path, fix: str = _OTHER_CHECKPOINT) -> None:
    """Raise one CheckpointError with all faults and their fix, if there are any."""
    if faults:
        raise CheckpointError("\n  ".join([f"{where}: this checkpoint cannot be run:", *faults, fix]))


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
