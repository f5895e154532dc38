"""A video of a sweep as a file of its own: the text of the sweep's file, with the values of one combination in it."""

import re
from collections.abc import Mapping
from typing import Any

from stages.pipeline.toml_text import parse_toml
from stages.pipeline.toml_writer import write_toml, write_value
from stages.request.sweep import SWEEP
from stages.request.sweep_videos import KEPT_FROM

_HEADING = re.compile(r"\s*\[(?P<name>[^\[\]]*)\]\s*(#.*)?")  # of a table
_ANY_HEADING = re.compile(r"\s*\[")
_KEPT_LINE = re.compile(rf"\s*{KEPT_FROM}\s*=")


def keep_combination(text: str, combination: Mapping[str, Any], *, kept_from: str = "") -> str:
    """The file of one video of a sweep.

    Comments and order of the sweep's file stay where its text can be edited line by line; otherwise it is written anew.

    Args:
        text: the sweep's file, which is valid.
        combination: its values, by dotted name.
        kept_from: the sweep, if the file takes over the name that the video has in it.
    """
    wanted = _without_sweep(parse_toml(text), combination, kept_from)
    edited = _edit(text, combination, kept_from)
    try:
        if parse_toml(edited) == wanted:
            return edited
    except ValueError:
        pass  # the text was of a kind that lines do not show, such as one of several lines or a table in braces
    return write_toml(wanted)


def _without_sweep(content: dict[str, Any], combination: Mapping[str, Any], kept_from: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {KEPT_FROM: kept_from} if kept_from else {}
    wanted |= {name: value for name, value in content.items() if name not in (SWEEP, KEPT_FROM)}
    for dotted, value in combination.items():
        *path, name = dotted.split(".")
        table = wanted
        for each in path:
            table = table.setdefault(each, {})
        table[name] = value
    return wanted


def _edit(text: str, combination: Mapping[str, Any], kept_from: str) -> str:
    """The same by lines; the caller finds out whether that was right."""
    sections = _split(text)
    sections = [(name, lines) for name, lines in sections if name != SWEEP and not name.startswith(f"{SWEEP}.")]
    head = [line for line in sections[0][1] if not _KEPT_LINE.match(line)]
    if kept_from:
        head.insert(0, f"{KEPT_FROM} = {write_value(kept_from)}  # which leaves the name to this file")
    sections[0] = ("", head)
    for dotted, value in combination.items():
        table, name = dotted.split(".", maxsplit=1)
        lines = next((lines for each, lines in sections if each == table), None)
        if lines is None:
            lines = [f"[{table}]"]
            last = sections[-1][1]
            if last and last[-1].strip():
                last.append("")
            sections.append((table, lines))
        _set(lines, name, write_value(value))
    return "\n".join(line for _, lines in sections for line in lines).rstrip("\n") + "\n"


def _split(text: str) -> list[tuple[str, list[str]]]:
    """Lines by the table that they stand in; those before the first are in one without a name."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        heading = _HEADING.fullmatch(line)
        if heading is not None or _ANY_HEADING.match(line):
            sections.append((heading["name"].strip() if heading else line.strip(), []))
        sections[-1][1].append(line)
    return sections


def _set(lines: list[str], name: str, value: str) -> None:
    """Give a parameter a value in the lines of its table, at its place or at the end."""
    pattern = re.compile(rf"(\s*{re.escape(name)}\s*=\s*)")
    for place, line in enumerate(lines):
        if match := pattern.match(line):
            lines[place] = f"{match[1]}{value}"
            return
    end = len(lines)
    while end > 1 and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, f"{name} = {value}")
