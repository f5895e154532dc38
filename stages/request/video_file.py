"""The text of a video's file: tables of parameters as TOML that reads back as the same values.

Knows no parameter by name. How files are read is in layers.py.
"""

import re
from collections.abc import Iterable, Mapping

from stages.keys import JsonValue
from stages.machine.printable import escaped
from stages.request.params import NewVideo

_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a name that needs no quotes
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def leave_out_defaults(video: NewVideo) -> dict[str, dict[str, JsonValue]]:
    """What a new video's file has to say, by table and name in the order of the declarations: all but the defaults."""
    return {
        table: {
            name: video.said[table][name].value
            for name, field in type(values).model_fields.items()
            if name in video.said[table]
            and repr(video.said[table][name].value) != repr(_default(video, table, name, field.default))
        }
        for table, values in {"model": video.params.model, **video.params.stages}.items()
    }


def write_tables(tables: Mapping[str, Mapping[str, JsonValue]], notes: Iterable[str] = ()) -> str:
    """A video's file.

    Args:
        tables: the values by table and name; a name with a dot stands in a table inside, as `components.vae` of
            [model]. Tables without a value are left out.
        notes: lines of comment before them, whatever is in them.
    Returns:
        TOML, which ends with a line break. Texts with control characters or marks that have no picture are escaped.
    Raises:
        ValueError: TOML has no such value: None, NaN, an infinity, half of a surrogate pair, or a list or table.
    """
    comment = "".join(f"# {escaped(note)}".rstrip() + "\n" for note in notes)
    parts = [text for table, values in tables.items() if (text := _write_table(table, values))]
    return "\n".join([comment, *parts] if comment else parts)


def write_value(value: JsonValue) -> str:
    """A value as TOML writes it. Raises ValueError, as `write_tables`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        value.encode()  # a UnicodeEncodeError is a ValueError
        return f'"{"".join(map(_write_character, value))}"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and abs(value) < float("inf"):
        return repr(value)
    raise ValueError(f"TOML cannot say {value!r}")


def _default(video: NewVideo, table: str, name: str, declared: object) -> object:
    """The value that a parameter has in a video that does not name it, as it is written."""
    found = video.defaults[table].get(name)
    return declared if found is None else found.value


def _write_table(table: str, values: Mapping[str, JsonValue]) -> str:
    inside: dict[str, list[str]] = {}
    for name, value in values.items():
        inner, _, own = name.rpartition(".")
        heading = ".".join(map(_write_name, (table, *inner.split(".")) if inner else (table,)))
        inside.setdefault(heading, []).append(f"{_write_name(own)} = {write_value(value)}\n")
    return "\n".join(f"[{heading}]\n{''.join(lines)}" for heading, lines in sorted(inside.items()))


def _write_name(name: str) -> str:
    return name if _BARE.fullmatch(name) else write_value(name)


def _write_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
