"""The text of a video's file: tables of parameters as TOML that reads back as the same values.

Knows no parameter by name. How files are read is in layers.py.
"""

from collections.abc import Iterable, Mapping

from stages.keys import JsonValue
from stages.machine.printable import escaped
from stages.pipeline.toml_writer import write_name, write_value
from stages.request.new_video import NewVideo


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
        TOML, which ends with a line break.
    Raises:
        ValueError: as in `write_value`.
    """
    comment = "".join(f"# {escaped(note)}".rstrip() + "\n" for note in notes)
    parts = [text for table, values in tables.items() if (text := _write_table(table, values))]
    return "\n".join([comment, *parts] if comment else parts)


def _default(video: NewVideo, table: str, name: str, declared: object) -> object:
    """The value that a parameter has in a video that does not name it, as it is written."""
    found = video.defaults[table].get(name)
    return declared if found is None else found.value


def _write_table(table: str, values: Mapping[str, JsonValue]) -> str:
    inside: dict[str, list[str]] = {}
    for name, value in values.items():
        inner, _, own = name.rpartition(".")
        heading = ".".join(map(write_name, (table, *inner.split(".")) if inner else (table,)))
        inside.setdefault(heading, []).append(f"{write_name(own)} = {write_value(value)}\n")
    return "\n".join(f"[{heading}]\n{''.join(lines)}" for heading, lines in sorted(inside.items()))
