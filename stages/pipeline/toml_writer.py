"""TOML of plain values, for files that commands write into a project. Reading is in toml_text.py."""

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"  # which JSON writes as it is, and TOML does not take


def write_toml(tables: Mapping[str, Any]) -> str:
    """A file that is read as these tables.

    Args:
        tables: by name a value or a table: text, numbers, booleans, and lists and tables of them.
    Raises:
        TypeError: TOML has no such value.
    """
    lines = [f"{_name(name)} = {write_value(value)}" for name, value in tables.items() if not isinstance(value, dict)]
    blocks = ["\n".join(lines)] if lines else []
    for name, values in tables.items():
        if isinstance(values, dict):
            own = [f"{_name(each)} = {write_value(value)}" for each, value in values.items()]
            blocks.append("\n".join([f"[{_name(name)}]", *own]))
    return "\n\n".join(blocks) + "\n"


def write_value(value: Any) -> str:
    """A value on one line. Raises TypeError: TOML has no such value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(write_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_name(name)} = {write_value(inner)}' for name, inner in value.items())} }}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """In quotation marks; the escapes of JSON are among those of TOML."""
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")
