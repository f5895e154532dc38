"""`doit` and `doit run`: stage by stage."""

import functools
from typing import Any

from doit.cmd_base import tasks_and_deps_iter
from doit.cmd_run import Run as DoitRun
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from stages.commands.one_message import OneMessage


class Run(OneMessage, DoitRun):  # type: ignore[misc] # doit has no types
    """As doit's own, in the order in which dodo.py lists tasks: all encodes, then all denoises, ...

    doit itself would finish the first of several selected videos before it begins the second, and load every model
    once per video.
    """

    @functools.wraps(DoitRun._execute)  # doit passes the options that the signature names
    def _execute(self, *arguments: Any, **options: Any) -> int:
        if options["num_process"] < 0:
            raise InvalidCommand(f"doit run: -n {options['num_process']}: must be 0 or more.")
        if not options["single"]:
            self.task_list, self.sel_tasks = self._needed_tasks(), None  # None: all, in the order of the list
        return int(super()._execute(*arguments, **options))

    def _needed_tasks(self) -> list[Any]:
        """The selected tasks and all they depend on, as dodo.py lists them."""
        control = TaskControl(self.task_list)
        control.process(self.sel_tasks)
        needed = {task.name for task in tasks_and_deps_iter(control.tasks, control.selected_tasks)}
        return [task for task in self.task_list if task.name in needed]
