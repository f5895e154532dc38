"""`doit list`: the stages, and the videos by state and prompt; or every artifact's task."""

import re
import shutil
import sys
from collections.abc import Iterable
from typing import Any

from doit.cmd_list import List as DoitList
from doit.cmd_list import opt_list_dependencies

from stages.commands.faulty import is_faulty
from stages.commands.one_message import OneMessage
from stages.commands.sweep_names import is_sweep, videos_of_sweep
from stages.commands.task_states import ShownStates
from stages.errors import StagesError
from stages.machine.printable import printable
from stages.run.answers import Answer

_DEPENDENCIES = {**opt_list_dependencies, "help": "print below each task the tasks that it depends on"}
_NUMBER = re.compile(r"[0-9]+$")
_BY_NAME = "name"  # doit's order of tasks
_MIN_CHARS = 40  # of a reason, however narrow the terminal is


class List(OneMessage, DoitList):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    is_read_only = True
    _is_by_name = False
    states = ShownStates
    cmd_options = tuple(_DEPENDENCIES if option is opt_list_dependencies else option for option in DoitList.cmd_options)

    def execute(self, params: Any, args: list[str]) -> int:
        """Print the tasks; the exit code."""
        template = params["template"]
        try:
            (template or "").format(name="", doc="", **({"status": ""} if params["status"] else {}))
        except (LookupError, ValueError, AttributeError):
            print(f"--template {template}: may have {{name}}, {{doc}} and, with --status, {{status}}.", file=sys.stderr)
            return 1
        if params["sort"] == _BY_NAME:
            params["sort"] = "definition"  # doit keeps the order then, which is that of `_in_order`
            self._is_by_name = True
        return super().execute(params, args)

    def _list_all(self, include_subtasks: bool) -> list[Any]:
        return self._in_order(super()._list_all(include_subtasks))

    def _list_filtered(self, tasks: Any, filter_tasks: list[str], include_subtasks: bool) -> list[Any]:
        """As doit's, and below a sweep its videos."""
        found = super()._list_filtered(tasks, filter_tasks, include_subtasks)
        videos = [tasks[name] for task in found if is_sweep(task) for name in videos_of_sweep(task)]
        return self._in_order({task.name: task for task in [*found, *videos]}.values())

    def _in_order(self, tasks: Iterable[Any]) -> list[Any]:
        """By name, but artifacts, whose names are keys, after all stages and videos; a sweep's videos by number."""
        if not self._is_by_name:
            return [*tasks]
        return sorted(tasks, key=lambda task: (task.subtask_of is not None, *_split_number(task.name)))

    def _print_task(self, template: str, task: Any, status: bool, list_deps: bool, tasks: Any) -> None:
        """As doit's, and says what `doit ignore` has ended; of dependencies doit's would print files.

        On a terminal, a prompt and why a video cannot be made are cut to its width.
        """
        if not is_faulty(task) and "video" in (task.meta or {}):
            task.doc = self._describe_video(task, tasks)
        if (is_faulty(task) or "video" in (task.meta or {})) and self.outstream.isatty():
            taken = template.format(name=task.name, doc="", **({"status": "R"} if status else {}))
            task.doc = _cut(task.doc, shutil.get_terminal_size().columns - len(taken.rstrip("\n")))
        if self.dep_manager.status_is_ignore(task):
            task.doc = f"{task.doc} (ignored; `doit forget {task.name}` ends that)"
        super()._print_task(template, task, status, False, tasks)
        if list_deps:
            self.outstream.write("".join(f" -  {name}\n" for name in task.task_dep) + "\n")

    def _find_state(self, task: Any, tasks: Any) -> str:
        found = self.dep_manager.find_due(task, tasks)
        due = [each.name.partition(":")[0] for each in found if not _is_fetched(each)]
        if found and not due:
            return "on the remote store"
        if not due:
            is_linked = self.dep_manager.get_status(task, tasks).status == "up-to-date"
            return "up to date" if is_linked else "made, without its link"
        is_all = len(due) == len(self.dep_manager.find_needed(task, tasks))
        return "to be made" if is_all else f"to be made ({', '.join(due)})"

    def _describe_video(self, task: Any, tasks: Any) -> str:
        """Its state and its prompt; of one made from a file, the file of its parameters."""
        try:
            state = self._find_state(task, tasks)
        except StagesError:  # something in the store cannot be read, which `doit` says
            state = "state unknown"
        prompt = task.meta.get("prompt")
        return f'{state}: "{printable(prompt)}"' if prompt else f"{state}: {task.doc}"


def _is_fetched(task: Any) -> bool:
    """Whether a task that is due fetches an artifact, and makes none."""
    return any(isinstance(check, Answer) and check.is_fetched() for check, _, _ in task.uptodate)


def _split_number(name: str) -> tuple[str, int]:
    """A name without the number at its end, and the number: harbour-2 comes before harbour-10."""
    found = _NUMBER.search(name)
    return (name[: found.start()], int(found[0])) if found else (name, -1)


def _cut(text: str, num_chars: int) -> str:
    """As much of a text as there is room for; `doit info` says the rest."""
    room = max(num_chars, _MIN_CHARS)
    return text if len(text) <= room else f"{text[: room - 1]}…"
