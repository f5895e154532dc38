"""Drafts: what a video is where `doit draft` makes it, with fewer steps and smaller frames, by parameters alone.

What a draft has by itself is marked in the declarations of the stages (`Drafted` in pipeline/rules.py). The tables of
params/draft.toml say otherwise for all videos, and [draft] in a video's file for that one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stages.pipeline.rules import Table
from stages.request.layers import Faults, Tables, Value, shown
from stages.request.names import near

DRAFT: Final = "draft"
DRAFT_FILE: Final = "params/draft.toml"
DRAFT_SUFFIX: Final = ".draft"  # of a draft's name; no name of a video has a dot


def name_draft(video: str) -> str:
    """The name of a video's draft: of its link, and on a command line."""
    return f"{video}{DRAFT_SUFFIX}"


def read_draft(
    content: Any, where: str, known: Mapping[str, Iterable[str]], faults: Faults, video: str | None = None
) -> Tables:
    """The parameters of drafts that a file sets; those that there are not are faults.

    Args:
        content: as it was parsed: `denoise.height = 368`, or a table [denoise] inside.
        where: the file, and the table in it.
        known: the tables of parameters, with their names.
        faults: takes what is wrong.
        video: whose faults they are; None for those of all.
    """
    if not isinstance(content, dict):
        faults.add(f"{where} = {shown(content)}: must be a table, [{DRAFT}].", video)
        return {}
    dotted = [f"{table}.{name}" for table, names in known.items() for name in names]
    tables: Tables = {}
    for name, value in _flatten(content, dotted):
        if name in dotted:
            table, own = name.split(".", maxsplit=1)
            tables.setdefault(table, {})[own] = Value(value, where)
        else:
            faults.add(f"{where}, {name}: no such parameter.{near(name, dotted)}", video)
    return tables


def draft_by_itself(stages: Mapping[str, Table], where: str) -> Tables:
    """What a draft of a video has that differs from the video, where nobody says otherwise.

    Nothing where a file takes the place of a stage that would be drafted: it has the size that it has.

    Args:
        stages: the video's tables, checked.
        where: the video's file.
    """
    drafted = {name: values for name, table in stages.items() if (values := table.draft())}
    if any(stages[name].file() is not None for name in drafted):
        return {}
    place = f"{where}, [{DRAFT}]"
    return {table: {name: Value(value, place) for name, value in values.items()} for table, values in drafted.items()}


def _flatten(content: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Values by dotted name, whether the dots make tables in each other or stand in quotation marks."""
    for name, value in content.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, dict) and value and dotted not in known:
            yield from _flatten(value, known, f"{dotted}.")
        else:
            yield dotted, value
