"""Parameters: the files under params/, overrides from the command line, and what they make of the declared defaults.

`params/<table>.toml` says what differs from the defaults in the code, `params/videos/<name>.toml` one video or a sweep
(sweep_videos.py), the command line overrides both. All faults are reported at once, each with where it stands and how
to fix it. The tables, their defaults and rules are in stages/pipeline and tables.py; what becomes of one video is in
video_params.py; how files are layered and faults worded is in layers.py.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from stages.errors import ParamsError
from stages.keys import JsonValue
from stages.machine.printable import escaped
from stages.pipeline.rules import Table
from stages.pipeline.stages import COMMAND_NAMES, Pipeline
from stages.request.draft import DRAFT, DRAFT_FILE, read_draft
from stages.request.layers import (
    COMMAND_LINE,
    VIDEO_FILES,
    Faults,
    Tables,
    Value,
    VideoFile,
    located,
    merge,
    read_toml,
    read_video,
    validate,
    value_from_text,
)
from stages.request.names import near
from stages.request.sweep import SWEEP
from stages.request.sweep_videos import KEPT_FROM, Expanded, expand_sweeps, name_combinations
from stages.request.tables import MachineParams, model_table
from stages.request.video_params import Layers, VideoChecker, VideoParams
from stages.store.sweep_numbers import Numbers, SweepNumbers

VIDEO_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
MAX_NAME = 200  # characters: those of a file that belongs to a video are up to fifty more, and file systems take 255
# Names that are taken on the command line, besides those of the stages.
RESERVED_NAMES = COMMAND_NAMES | {"video"}
_OTHERS = frozenset({SWEEP, DRAFT, KEPT_FROM})  # what a video's file has besides tables of parameters
_LIMIT_VIDEO = "video"  # `video=<name>` on the command line limits the overrides to one video


@dataclass(frozen=True)
class Params:
    """Everything that was asked for: the videos by name, and the machine's settings.

    Attributes:
        videos: those without a fault.
        machine: its settings.
        faults: by video, what is wrong with it and with no other. A file whose name cannot be a video's has its path
            in place of a name.
        typed: dotted names of the parameters that the command line overrides.
        limited: the videos for which they count.
        sweeps: by the name of each sweep, by those of its videos, what differs: values by dotted name.
        new_numbers: of combinations of sweeps, those that the store does not remember yet.
    """

    videos: Mapping[str, VideoParams]
    machine: MachineParams
    faults: Mapping[str, ParamsError] = field(default_factory=dict)
    typed: Set[str] = frozenset()
    limited: Collection[str] = frozenset()
    sweeps: Mapping[str, Mapping[str, Mapping[str, JsonValue]]] = field(default_factory=dict)
    new_numbers: Numbers = field(default_factory=dict)

    def typed_for(self, video: str) -> Set[str]:
        """Dotted names of the parameters that the command line overrides for a video."""
        return self.typed if video in self.limited else frozenset()


def load_params(root: Path, overrides: Mapping[str, str], pipeline: Pipeline, *, is_draft: bool = False) -> Params:
    """Read, merge and check all parameters below `root / "params"`.

    What is wrong with one video's file is in `Params.faults`, and stops no other video.

    Args:
        root: the project's folder.
        overrides: dotted name -> text, from the command line; `video` limits the others to one video or sweep.
        pipeline: the project's stages, whose parameters there are.
        is_draft: whether each video is to be its draft.
    Raises:
        ParamsError: something that concerns all videos is wrong: defaults, overrides, machine settings, or there is no
            video; all faults of all files and overrides in one message.
    """
    faults = Faults(root)
    video_tables = tables_of_video(pipeline)
    tables: dict[str, type[Table]] = {**video_tables, "machine": MachineParams}
    _refuse_unknown_files(root / "params", [*tables, DRAFT], faults)
    read = {table: read_defaults(table, tables, faults) for table in tables}
    unread = {table for table, values in read.items() if values is None}
    defaults: Tables = {table: values or {} for table, values in read.items()}
    drafts = _read_draft_defaults(video_tables, faults)
    files = _read_videos(root / VIDEO_FILES, video_tables, faults)
    typed = typed_overrides(overrides, tables, faults)
    of_machine = merge([defaults, typed], ["machine"])["machine"]
    expanded = _expand(files, video_tables, of_machine, faults)
    limited = _find_limited(overrides.get(_LIMIT_VIDEO), files, expanded, faults)
    for table, model in video_tables.items():
        # a wrong default is reported even if every video has a value of its own
        validate(table, defaults[table], model, faults)
        if table in drafts:
            validate(table, {**defaults[table], **drafts[table]}, model, faults)
    videos = {}
    checked = VideoChecker(video_tables, pipeline, faults)
    for name, file in expanded.files.items():
        own = checked.video(name, file, Layers(defaults, drafts, typed if name in limited else {}, unread), is_draft)
        if name not in faults.of_videos and own is not None:
            videos[name] = own
    machine = validate("machine", of_machine, MachineParams, faults)
    faults.raise_if_any()
    assert machine is not None  # or there was a fault
    found = name_combinations(faults.by_video(), expanded.sweeps)
    in_order = {name: found[name] for name in expanded.files if name in found}
    names = overrides.keys() - {_LIMIT_VIDEO}
    return Params(videos, machine, in_order, names, limited, expanded.sweeps, expanded.new_numbers)


def _find_limited(
    limit: str | None, files: Mapping[str, VideoFile], expanded: Expanded, faults: Faults
) -> Collection[str]:
    """The videos for which overrides count; all where no single one is named, or none of that name is there."""
    if limit is None:
        return expanded.files.keys()
    if limit not in files and limit not in expanded.files:
        faults.add(f"{COMMAND_LINE}, video = {limit}: no such video.{near(limit, [*files, *expanded.files])}")
        return expanded.files.keys()
    return expanded.names_of(limit)


def _expand(
    files: Mapping[str, VideoFile], models: Mapping[str, type[Table]], machine: Mapping[str, Value], faults: Faults
) -> Expanded:
    """The files of videos, those of sweeps expanded by the numbers that the store remembers."""
    if not any(SWEEP in file.others or KEPT_FROM in file.others for file in files.values()):
        return Expanded(files)
    settings = validate("machine", machine, MachineParams, Faults(faults.root))  # what is wrong is said in its turn
    store = None if settings is None else SweepNumbers(faults.root / Path(settings.artifacts).expanduser())
    return expand_sweeps(files, _names_of(models), {} if store is None else store.read(), faults)


def load_machine(root: Path, overrides: Mapping[str, str], pipeline: Pipeline) -> MachineParams:
    """The machine's settings alone, for what needs no video. Raises ParamsError: one of them is wrong."""
    faults = Faults(root)
    tables: dict[str, type[Table]] = {**tables_of_video(pipeline), "machine": MachineParams}
    defaults = {"machine": read_defaults("machine", tables, faults) or {}}
    typed = typed_overrides({name: text for name, text in overrides.items() if name != _LIMIT_VIDEO}, tables, faults)
    machine = validate("machine", merge([defaults, typed], ["machine"])["machine"], MachineParams, faults)
    faults.raise_if_any()
    assert machine is not None  # or there was a fault
    return machine


def tables_of_video(pipeline: Pipeline) -> dict[str, type[Table]]:
    """The tables that a video's file can have, by their names."""
    components = dict.fromkeys(each.name for stage in pipeline for each in stage.components)
    return {"model": model_table(tuple(components)), **{stage.name: stage.parameters for stage in pipeline}}


def read_defaults(table: str, tables: Iterable[str], faults: Faults) -> dict[str, Value] | None:
    """What params/<table>.toml says; a file that is not there says nothing. None: it cannot be read."""
    where = f"params/{table}.toml"
    path = faults.root / where
    values = read_toml(path, faults) if os.path.lexists(path) else {}
    if values is None:
        return None
    headings = [name for name, value in values.items() if name in tables and isinstance(value, dict)]
    for name in headings:
        advice = "Remove that line." if name == table else f"Move what is below that line to params/{name}.toml."
        faults.add(f"{where}, [{name}]: this file is itself the table [{table}], and has none inside. {advice}")
    return None if headings else located(values, where)


def _read_draft_defaults(models: Mapping[str, type[Table]], faults: Faults) -> Tables:
    """What params/draft.toml says; a file that is not there says nothing."""
    path = faults.root / DRAFT_FILE
    content = read_toml(path, faults) if os.path.lexists(path) else {}
    return read_draft(content or {}, DRAFT_FILE, _names_of(models), faults)


def _names_of(models: Mapping[str, type[Table]]) -> Mapping[str, Iterable[str]]:
    """The parameters of each table."""
    return {table: tuple(model.model_fields) for table, model in models.items()}


def _refuse_unknown_files(folder: Path, tables: Collection[str], faults: Faults) -> None:
    """A misspelt name would leave the defaults of the code in force, and nobody would know."""
    for path in sorted(folder.glob("[!.]*.toml")):
        if path.stem not in tables:
            faults.add(f"params/{path.name}: no such table.{near(path.stem, tables)} Rename the file.")


def _read_videos(folder: Path, tables: Mapping[str, type[Table]], faults: Faults) -> dict[str, VideoFile]:
    # names with a dot in front are lock files of editors
    paths = sorted((path for path in folder.glob("*.toml") if not path.name.startswith(".")), key=str)
    if not paths:
        faults.add(f"{folder.relative_to(faults.root)}: holds no video. Write one, such as demo.toml.")
    known = _names_of(tables)
    files = {}
    for path in paths:
        name, fault = path.stem, find_fault_of_name(path.stem, tables)
        if fault:
            name = escaped(str(path.relative_to(faults.root)))  # a task has it
            faults.add(f"{name}: {fault}", name)
        files[name] = read_video(path, known, faults, video=name, others=_OTHERS)
    return files


def find_fault_of_name(stem: str, tables: Collection[str]) -> str | None:
    """What keeps a file in params/videos/ from having this name, without its suffix; `tables` are those of a video."""
    if not VIDEO_NAME.fullmatch(stem):
        return "a video's name is made of a-z, 0-9, _ and -, the first a letter or digit. Rename it."
    if len(stem) > MAX_NAME:
        return f"a video's name has at most {MAX_NAME} characters, not {len(stem)}. Rename the file."
    if stem in RESERVED_NAMES | ({*tables} - {"model"}):
        return f"`{stem}` is the name of a stage or a command. Rename the file."
    return None


def read_overrides(words: Iterable[str]) -> dict[str, str]:
    """Overrides from words of a command line, `name=value` each: text by name.

    Raises:
        ParamsError: a word has no name or no value, or a name is there twice.
    """
    overrides: dict[str, str] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign:
            raise ParamsError(f"{COMMAND_LINE}, {escaped(word)}: is not of the form stage.name=value.")
        if not name:
            raise ParamsError(
                f"{COMMAND_LINE}, {escaped(word)}: has no name. Write name and value as one word, such as "
                "denoise.seed=7."
            )
        if name in overrides:
            both = escaped(f"{name}={overrides[name]} and {word}")
            raise ParamsError(f"{COMMAND_LINE}, {both}: say two things. Leave one out.")
        overrides[name] = text
    return overrides


def typed_overrides(overrides: Mapping[str, str], tables: Mapping[str, type[Table]], faults: Faults) -> Tables:
    """The parameters of a command line, by table and name; what is wrong with them is a fault of all videos."""
    known = [f"{table}.{name}" for table, model in tables.items() for name in model.model_fields]
    typed: Tables = {}
    for dotted, text in overrides.items():
        if dotted in known:
            table, name = dotted.split(".", maxsplit=1)
            if not text and tables[table].model_fields[name].is_required():
                faults.add(
                    f'{COMMAND_LINE}, {dotted} = "": is empty; perhaps it is a shell variable without a value. If that '
                    f'is meant, write {name} = "" in the file of a video.'
                )
            value = value_from_text(tables[table], name, text)
            typed.setdefault(table, {}).update(located({name: value}, COMMAND_LINE))
        elif dotted != _LIMIT_VIDEO:
            faults.add(f"{COMMAND_LINE}, {dotted} = {text}: no such parameter.{near(dotted, known)}")
    return typed
