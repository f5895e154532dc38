"""What is known of how something was made, as text for people and as JSON for scripts.

All values may be anybody's: nothing of them reaches a terminal but what has a picture.
"""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from stages.machine.printable import cut, escaped, local_time
from stages.provenance.record import Made, Record

_RUN_FIELDS: Final = ("started", "host", "device")  # of run.json, which are texts
_COLUMNS: Final = 80
_MAX_SHOWN: Final = 20_000  # characters of a value: any prompt that a person writes


def to_text(record: Record, code_here: Callable[[Made], str | None]) -> str:
    """Lines for people.

    Args:
        record: what is known.
        code_here: the fingerprint of the present code that would make the same; None where there is none.
    """
    return "".join(f"{line}\n" for line in _lines(record, code_here))


def to_json(record: Record, code_here: Callable[[Made], str | None]) -> dict[str, Any]:
    """The same for scripts; what is not known is null."""
    return {
        "name": record.name,
        "file": record.what,
        "origin": record.origin,
        "prompt": record.prompt,
        "stages": [
            {
                "stage": made.stage,
                "key": made.key,
                "parameters": dict(made.parameters),
                "components": dict(made.components),
                "code": made.code,
                "code_here": code_here(made),
                "versions": _versions(made) or None,
                **{name: _text_of(made, name) for name in _RUN_FIELDS},
            }
            for made in record.made
        ],
        "missing": [{"stage": artifact.stage, "key": artifact.key} for artifact in record.missing],
        "notes": [*record.notes],
    }


def _lines(record: Record, code_here: Callable[[Made], str | None]) -> Iterator[str]:
    yield f"{escaped(record.name)}: {record.what}, by {record.origin}"
    if record.prompt is not None:
        yield f"prompt: {escaped(cut(record.prompt, _MAX_SHOWN))}"
    for made in record.made:
        yield ""
        yield f"{made.stage}  {made.key}"
        rows = [(name, _show(value)) for name, value in sorted(made.parameters.items())]
        yield from _table(rows, "  ")
        if made.components:
            yield "  model"
            yield from _table([(name, escaped(identity)) for name, identity in sorted(made.components.items())], "    ")
        yield f"  code  {_describe_code(made, code_here(made))}"
        yield from _describe_run(made)
    for artifact in record.missing:
        yield ""
        yield f"{artifact.stage}  {artifact.key}"
        yield "  not known: its manifest is not in the store"
    if any(made.run is None for made in record.made):
        yield ""
        yield "Versions, device and time are not in a file; they stand in the store that made it."
    for note in record.notes:
        yield ""
        yield f"note: {note}."


def _describe_code(made: Made, here: str | None) -> str:
    if made.code is None:
        return "not known"
    if here is None:
        return f"{made.code} (no such stage here)"
    return f"{made.code} ({'as here' if made.code == here else f'here {here}'})"


def _describe_run(made: Made) -> Iterator[str]:
    if made.run is None:
        return
    started, host, device = (_text_of(made, name) for name in _RUN_FIELDS)
    parts = [
        local_time(started) if started else "",
        f"on {host}" if host else "",
        f"({device})" if device else "",
    ]
    if any(parts):
        yield f"  made  {escaped(' '.join(part for part in parts if part))}"
    if versions := _versions(made):
        text = escaped(", ".join(f"{name} {version}" for name, version in sorted(versions.items())))
        yield from textwrap.wrap(text, _COLUMNS, initial_indent="  with  ", subsequent_indent="        ")


def _versions(made: Made) -> Mapping[str, str]:
    versions = (made.run or {}).get("versions")
    if not isinstance(versions, dict):
        return {}
    return {name: version for name, version in versions.items() if isinstance(version, str) and version}


def _text_of(made: Made, name: str) -> str | None:
    value = (made.run or {}).get(name)
    return value if isinstance(value, str) else None


def _table(rows: list[tuple[str, str]], indent: str) -> Iterator[str]:
    width = max((len(escaped(name)) for name, _ in rows), default=0)
    for name, text in rows:
        yield f"{indent}{escaped(name).ljust(width)}  {text}"


def _show(value: Any) -> str:
    return escaped(cut(json.dumps(value, ensure_ascii=False), _MAX_SHOWN))
