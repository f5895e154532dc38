"""TOML of plain values, for files that commands write into a project. Reading is in toml_text.py."""

import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a name that needs no quotes
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def write_toml(tables: Mapping[str, Any]) -> str:
    """A file that is read as these tables.

    Args:
        tables: by name a value or a table: text, numbers, booleans, and lists and tables of them.
    Raises:
        ValueError: as in `write_value`.
    """
    lines = [_write_line(name, value) for name, value in tables.items() if not isinstance(value, dict)]
    blocks = ["\n".join(lines)] if lines else []
    for name, values in tables.items():
        if isinstance(values, dict):
            own = [_write_line(each, value) for each, value in values.items()]
            blocks.append("\n".join([f"[{write_name(name)}]", *own]))
    return "\n\n".join(blocks) + "\n"


def write_value(value: Any) -> str:
    """A value on one line. Texts with control characters or marks that have no picture are escaped.

    Raises:
        ValueError: TOML has no such value: None, half of a surrogate pair.
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            value.encode()  # a UnicodeEncodeError is a ValueError
            return f'"{"".join(map(_write_character, value))}"'
        case int():
            return str(value)
        case float():
            return repr(value)  # also of inf and nan, as TOML writes them
        case list():
            return f"[{', '.join(map(write_value, value))}]"
        case dict():
            inner = ", ".join(_write_line(name, each) for name, each in value.items())
            return f"{{ {inner} }}"
    raise ValueError(f"TOML cannot say {value!r}")


def write_name(name: str) -> str:
    """A name of a value or of a table, in quotation marks where it needs them. Raises ValueError: a surrogate."""
    return name if _BARE.fullmatch(name) else write_value(name)


def _write_line(name: str, value: Any) -> str:
    return f"{write_name(name)} = {write_value(value)}"


def _write_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
