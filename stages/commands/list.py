"""`doit list`: the stages and videos, or every artifact's task."""

import shutil
import sys
from typing import Any

from doit.cmd_list import List as DoitList
from doit.cmd_list import opt_list_dependencies

from stages.commands.faulty import is_faulty
from stages.commands.one_message import OneMessage
from stages.commands.sweep_names import is_sweep, videos_of_sweep
from stages.commands.task_states import ShownStates

_DEPENDENCIES = {**opt_list_dependencies, "help": "print below each task the tasks that it depends on"}
_MIN_CHARS = 40  # of a reason, however narrow the terminal is


class List(OneMessage, DoitList):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    is_read_only = True
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
        return super().execute(params, args)

    def _list_filtered(self, tasks: Any, filter_tasks: list[str], include_subtasks: bool) -> list[Any]:
        """As doit's, and below a sweep its videos."""
        found = super()._list_filtered(tasks, filter_tasks, include_subtasks)
        videos = [tasks[name] for task in found if is_sweep(task) for name in videos_of_sweep(task)]
        return list({task.name: task for task in [*found, *videos]}.values())

    def _print_task(self, template: str, task: Any, status: bool, list_deps: bool, tasks: Any) -> None:
        """As doit's, and says what `doit ignore` has ended; of dependencies doit's would print files.

        On a terminal, why a video cannot be made is cut to its width.
        """
        if is_faulty(task) and self.outstream.isatty():
            taken = template.format(name=task.name, doc="", **({"status": "R"} if status else {}))
            task.doc = _cut(task.doc, shutil.get_terminal_size().columns - len(taken.rstrip("\n")))
        if self.dep_manager.status_is_ignore(task):
            task.doc = f"{task.doc} (ignored; `doit forget {task.name}` ends that)"
        super()._print_task(template, task, status, False, tasks)
        if list_deps:
            self.outstream.write("".join(f" -  {name}\n" for name in task.task_dep) + "\n")


def _cut(text: str, num_chars: int) -> str:
    """As much of a text as there is room for; `doit info` says the rest."""
    room = max(num_chars, _MIN_CHARS)
    return text if len(text) <= room else f"{text[: room - 1]}…"
