"""`doit from`: the video file that makes something again, with other values where they are asked for.

Compares all that made the video with what would make it here, before anything is written.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stages.errors import CheckpointError, ParamsError, StoreError
from stages.keys import FROM_FILE, Node
from stages.machine.new_file import write_new_file
from stages.machine.printable import escaped
from stages.machine.regular_files import reason_of
from stages.provenance.code import CodeHere
from stages.provenance.comparison import (
    list_code_differences,
    list_file_differences,
    list_key_differences,
    list_weight_differences,
)
from stages.provenance.project import Project
from stages.provenance.record import Record
from stages.provenance.resolver import Resolver
from stages.provenance.tables import ReadTables, read_tables
from stages.request.layers import VIDEO_FILES
from stages.request.params import MAX_NAME, RESERVED_NAMES, VIDEO_NAME
from stages.request.sweep_names import find_sweep
from stages.request.video_file import leave_out_defaults, write_tables
from stages.request.video_params import VideoParams

_UNNAMEABLE = re.compile(r"[^a-z0-9_-]+")
_ANYWAY: Final = "`--anyway` goes on with what is here."
_MAX_TAKEN: Final = 64  # characters of a name that is taken from a file


@dataclass(frozen=True)
class Remake:
    """A video file that is to be written.

    Attributes:
        name: of the video.
        text: of its file.
        nodes: what it will be made of, by stage.
        same: stages whose key is that of the record.
        others: stages of the record whose key is another one.
        differences: what is another here than it was, where that was accepted.
    """

    name: str
    text: str
    nodes: Mapping[str, Node]
    same: Sequence[str]
    others: Sequence[str]
    differences: Sequence[str]


def choose_name(given: str, record: Record, project: Project) -> str:
    """The new video's name: as given, or after the file.

    Raises:
        ParamsError: it cannot be one, or there is such a video.
    """
    name = given or _UNNAMEABLE.sub("-", Path(record.name).stem.lower()).strip("-_")[:_MAX_TAKEN]
    if given and not VIDEO_NAME.fullmatch(given):
        raise ParamsError(
            f"--as {escaped(given)}: a video's name is made of a-z, 0-9, _ and -, the first a letter or digit."
        )
    if len(given) > MAX_NAME:
        raise ParamsError(f"--as {given}: a video's name has at most {MAX_NAME} characters, not {len(given)}.")
    if not name:
        raise ParamsError(f"{escaped(record.name)}: no video can be called so. Give it a name: `--as NAME`.")
    if name in RESERVED_NAMES | {*project.pipeline.names}:
        raise ParamsError(f"`{name}` is the name of a stage or a command. Give the video another: `--as NAME`.")
    if os.path.lexists(project.root / VIDEO_FILES / f"{name}.toml"):
        raise ParamsError(
            f"{VIDEO_FILES}{name}.toml: is there already, and nothing is overwritten. Give the video another name: "
            "`--as NAME`."
        )
    if sweep := find_sweep(name, project.root):
        raise ParamsError(
            f"{name}: is how the sweep in {VIDEO_FILES}{sweep}.toml names its videos. Give the video another name: "
            "`--as NAME`."
        )
    return name


def plan_remake(
    record: Record, name: str, project: Project, overrides: Mapping[str, str], *, anyway: bool, command: str
) -> Remake:
    """The video file that makes a record's artifact again, with the values of `overrides` in place of its own.

    Args:
        record: what made it.
        name: of the new video.
        project: that is to make it.
        overrides: dotted name -> text, from the command line; those of [model] say where its weights are here.
        anyway: whether to go on where weights, files or code are others; the file's comment names them then.
        command: how this was asked for, for the file's comment.
    Raises:
        StagesError: it cannot be made again, or weights, files or code are others; each is named.
    """
    tables = read_tables(record, project.pipeline)
    places = [f"{stage}.{FROM_FILE}" for stage in tables.files]
    faults = [*tables.faults, *(line for place, line in tables.ask_for_files() if place not in overrides)]
    if faults:
        raise _refuse(record, "cannot be made again here", faults)
    resolver = Resolver(project, name, tables.values)
    where = {dotted: text for dotted, text in overrides.items() if dotted.startswith("model.") or dotted in places}
    differences, advice = _compare(record, tables, resolver, where, project)
    if differences and not anyway:
        raise _refuse(record, "what made it differs from what is here", differences, f"{advice}{_ANYWAY}")
    final = resolver.resolve(overrides)
    tables_of_file = leave_out_defaults(final.video)
    assert resolver.resolve({}, tables_of_file).nodes == final.nodes, "what is left out is what the defaults say"
    same = [made.stage for made in record.made if made.stage in final.nodes and final.nodes[made.stage].key == made.key]
    return Remake(
        name=name,
        text=write_tables(tables_of_file, [f"Written by `{command}`.", *_explain(differences)]),
        nodes=final.nodes,
        same=same,
        others=[made.stage for made in record.made if made.stage not in same],
        differences=differences,
    )


def write_video_file(remake: Remake, project: Project) -> Path:
    """Write the file, whole or not at all, and only where there is none.

    Raises:
        StoreError: it cannot be written, or there is one by now.
    """
    path = project.root / VIDEO_FILES / f"{remake.name}.toml"
    try:
        write_new_file(path, remake.text)
    except OSError as error:
        if os.path.lexists(path):
            raise StoreError(
                f"{path}: is there by now, and nothing is overwritten. Choose a name: `--as NAME`."
            ) from error
        raise StoreError(f"{path}: cannot be written: {reason_of(error)}.") from error
    return path


def _compare(
    record: Record, tables: ReadTables, resolver: Resolver, where: Mapping[str, str], project: Project
) -> tuple[list[str], str]:
    """What differs between what made a record and what would make it here, and how to have the same weights.

    `where` are the overrides that say where weights and files are here. Keys are named only where nothing else differs.
    """
    try:
        base = resolver.resolve(where)
    except CheckpointError as error:
        raise CheckpointError(f"{error}\n  {resolver.advise(record, where)}") from error
    if faults := _list_unsettable(tables, base.video.params):
        raise _refuse(record, "cannot be made again here", faults)
    weights = list_weight_differences(record, base.nodes, base.video.params.model)
    lines = [
        *record.notes,
        *weights,
        *list_file_differences(record, base.nodes, base.video.params),
        *list_code_differences(record, CodeHere(project).of),
    ]
    advice = f"{resolver.advise(record, where)} " if weights else ""
    return lines or list_key_differences(record, base.nodes), advice


def _list_unsettable(tables: ReadTables, video: VideoParams) -> list[str]:
    """The parameters without a value that the project's defaults give one: TOML has no word for none."""
    return [
        f"{stage}.{name}: the video was made without a value, and params/{stage}.toml has one, which no video's file "
        "can take back. Take it out of there"
        for stage, values in tables.values.items()
        for name, value in values.items()
        if value is None and getattr(video.stages[stage], name) is not None
    ]


def _explain(differences: Sequence[str]) -> list[str]:
    if not differences:
        return []
    return ["With --anyway, because not all is what made that video:", *(f"  {each}" for each in differences)]


def _refuse(record: Record, what: str, lines: Sequence[str], advice: str = "") -> ParamsError:
    text = "\n  ".join(escaped(line) for line in lines)
    return ParamsError(f"{escaped(record.name)}: {what}:\n  {text}" + (f"\n  {advice}" if advice else ""))
