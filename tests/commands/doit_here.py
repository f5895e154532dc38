"""doit with the project's commands, in this process, on tasks that a test gives."""

import sys
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from stages.commands.reporter import Reporter
from stages.store.ignored_tasks import IgnoredTasks
from tests.project import PROJECT

PLUGINS = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["doit"]["plugins"]

# Given the names of all tasks and those that were typed: reasons of videos that cannot be made, and the names left.
Start: TypeAlias = Callable[[Sequence[str], Sequence[str]], tuple[Mapping[str, str], Collection[str]]]


def run_doit(
    folder: Path,
    tasks: list[Mapping[str, Any]],
    *arguments: str,
    at_start: Start = lambda names, _typed: ({}, names),
    at_end: Callable[[], str] = lambda: "Nothing was in the middle of being made.",
) -> int:
    """Exit code.

    Args:
        folder: the store's: takes what is ignored.
        at_start: what a run calls before its first task.
        at_end: what a run calls, however it ends; it says what was being made just then.
        tasks: as dodo.py would yield them, in this order.
    """
    config = {
        "default_tasks": list(dict.fromkeys(task["basename"] for task in tasks)),
        "ignored": IgnoredTasks(folder),
        "reporter": Reporter,
        "at_start": at_start,
        "at_end": at_end,
        "verbosity": 2,
        "par_type": "thread",
        "outfile": sys.stdout,  # as it is now: doit keeps the one of its import
    }
    loader = ModuleTaskLoader({"DOIT_CONFIG": config, "task_all": lambda: (yield from map(dict, tasks))})
    main = DoitMain(loader, extra_config={"COMMAND": PLUGINS["command"]}, config_filenames=())
    return int(main.run(list(arguments)) or 0)
