"""The stages in the order in which they run, and those that a project adds.

A project's own stages stand in its pyproject.toml, as a list of all stages in their order; each entry is a module with
a declaration, `STAGE`:

    [tool.hunyuan-stages]
    stages = ["stages.pipeline.encode", "stages.pipeline.denoise", "stages.pipeline.decode", "brighten.stage",
              "stages.pipeline.export"]
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from stages.errors import ParamsError
from stages.keys import FROM_FILE, PAYLOAD_NAME, STAGE_NAME, Node
from stages.machine.regular_files import reason_of
from stages.pipeline import decode, denoise, encode, export
from stages.pipeline.component import Component
from stages.pipeline.contract import Contract
from stages.pipeline.stage import ACCELERATOR, DISK, HOST, Program, Stage
from stages.pipeline.toml_text import parse_toml, read_toml_text

STAGES: Final = (
    encode.STAGE,
    denoise.STAGE,
    decode.STAGE,
    export.STAGE,
)
COMMAND_NAMES: Final = frozenset({
    "run", "list", "info", "clean", "forget", "ignore", "dumpdb", "strace", "tabcompletion", "reset-dep", "help",
    "preflight", "verify", "gc", "du", "pin", "unpin", "pins", "stop", "inspect", "from", "draft", "keep", "explain",
    "timings", "diff", "gate", "report", "pull", "push", "remote", "fleet",
})  # fmt: skip
# What else stands in a video's file, other tables, other folders of a store, and `video=<name>` of the command line.
_OTHER_NAMES = frozenset({
    "model", "machine", "sweep", "kept_from", "videos", "logs", "video", "partial", "previews", "posters",
})  # fmt: skip
_FILE, _TABLE, _LIST = "pyproject.toml", "hunyuan-stages", "stages"
# Where the table can be in a file at all: parsing takes longer than all else that a run with nothing to do reads.
_HAS_TABLE = re.compile(rf"""tool["']?\s*(\.\s*["']?{_TABLE}|\]|=)""")


@dataclass(frozen=True)
class Pipeline:
    """Stages in their order."""

    stages: tuple[Stage, ...] = STAGES

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __getitem__(self, name: str) -> Stage:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Stage]:
        return {stage.name: stage for stage in self.stages}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages, in their order."""
        return tuple(self._by_name)

    @property
    def last(self) -> Stage:
        """The stage whose artifact is the video."""
        return self.stages[-1]

    @property
    def programs(self) -> tuple[Program, ...]:
        """All programs that make nodes, each once."""
        return tuple(dict.fromkeys(program for stage in self.stages for program in stage.programs))

    def program_of(self, node: Node) -> Program:
        """What makes a node."""
        return self[node.stage].program_of(node.parameters)

    def producers(self, stage: Stage) -> dict[str, Stage]:
        """The stage whose artifact is read as what, by the name of the contract: the nearest one before that makes it.

        Raises:
            KeyError: no stage before makes it; `read_pipeline` has checked that.
        """
        return self._producers[stage.name]

    @cached_property
    def _producers(self) -> dict[str, dict[str, Stage]]:
        makers: dict[str, Stage] = {}
        found = {}
        for stage in self.stages:
            found[stage.name] = {contract.name: makers[contract.name] for contract in stage.reads}
            makers[stage.makes.name] = stage
        return found


def read_pipeline(root: Path) -> Pipeline:
    """The stages of a project: those that its pyproject.toml lists, or STAGES where it lists none.

    Raises:
        ParamsError: the list cannot be read, names something that declares no stage, or the stages do not fit together.
    """
    modules = _read_list(root / _FILE)
    if modules is None:
        return Pipeline()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))  # a project's own stages lie in its folder
    pipeline = Pipeline(tuple(_load(module) for module in modules))
    _check(pipeline)
    return pipeline


def _read_list(file: Path) -> Sequence[str] | None:
    try:
        text = read_toml_text(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ParamsError(f"{file.name}: cannot be read: {reason_of(error)}.") from error
    if not _HAS_TABLE.search(text):
        return None
    try:
        tool: Any = parse_toml(text).get("tool", {})
    except ValueError as error:
        raise ParamsError(f"{file.name}: not valid TOML: {error}.") from error
    table = tool.get(_TABLE, {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict) or table.keys() - {_LIST}:
        raise ParamsError(f"{file.name}, tool.{_TABLE}: must be a table with the list `{_LIST}` and nothing else.")
    modules = table.get(_LIST)
    if modules is not None and not (isinstance(modules, list) and all(isinstance(name, str) for name in modules)):
        raise ParamsError(f"{file.name}, tool.{_TABLE}.{_LIST}: must be a list of names of modules.")
    return modules


def _load(module: str) -> Stage:
    where = f"{_FILE}, tool.{_TABLE}.{_LIST}, {module!r}"
    try:
        stage = import_module(module).STAGE
    except Exception as error:  # whatever a module of the project raises, it declares no stage
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ParamsError(f"{where}: declares no stage ({reason}). Name a module that has a `STAGE`.") from error
    if not isinstance(stage, Stage):
        raise ParamsError(f"{where}: its `STAGE` is a {type(stage).__name__}, not a stages.pipeline.stage.Stage.")
    return stage


def _check(pipeline: Pipeline) -> None:
    """Raise ParamsError unless names differ and everything that is read is made before; lists all faults."""
    faults = [] if pipeline.stages else ["there is no stage"]
    faults += [fault for stage in pipeline for fault in _check_stage(stage)]
    made: dict[str, Contract] = {}
    for stage in pipeline:
        faults += [
            f"`{stage.name}` reads {contract.name}, which no stage before it makes"
            for contract in stage.reads
            if made.get(contract.name) != contract
        ]
        made[stage.makes.name] = stage.makes
    names = [stage.name for stage in pipeline]
    faults += [f"there are two stages `{name}`" for name in dict.fromkeys(names) if names.count(name) > 1]
    if faults:
        raise ParamsError(f"{_FILE}, tool.{_TABLE}.{_LIST}: {'; '.join(faults)}.")


def _check_stage(stage: Stage) -> list[str]:
    """What is wrong with a stage by itself: names that cannot be used, and what is half declared."""
    faults = []
    if not STAGE_NAME.fullmatch(stage.name) or stage.name in COMMAND_NAMES | _OTHER_NAMES:
        faults.append(f"`{stage.name}` cannot be the name of a stage: it is taken, or not made of a-z, 0-9 and _")
    if not PAYLOAD_NAME.fullmatch(stage.makes.payload):
        faults.append(f"`{stage.name}` makes {stage.makes.payload!r}, which is not the plain name of a file")
    if (FROM_FILE in stage.parameters.model_fields) != (stage.file_program is not None):
        faults.append(f"`{stage.name}` has either `{FROM_FILE}` among its parameters or a file_program, and not both")
    faults += [
        f"`{stage.name}` names the component {each!r}, which must be declared, as Component({each!r}, ...)"
        for each in stage.components
        if not isinstance(each, Component)
    ]
    devices = (HOST, ACCELERATOR, DISK)
    faults += [
        f"`{program.name}` is for the device {program.device!r}, not one of {', '.join(devices)}"
        for program in stage.programs
        if program.device not in devices
    ]
    return faults
