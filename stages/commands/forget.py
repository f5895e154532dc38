"""`doit forget`: make artifacts again, though nothing has changed."""

from pathlib import Path
from typing import Any

from doit.cmd_base import check_tasks_exist, subtasks_iter, tasks_and_deps_iter
from doit.cmd_forget import Forget as DoitForget

from stages.commands.one_message import OneMessage
from stages.store.artifacts import forget_artifact


class Forget(OneMessage, DoitForget):  # type: ignore[misc] # doit has no types
    """As doit's own, and the store forgets as well: the next run says whether the bytes are the same."""

    doc_purpose = "make the artifacts of tasks again at the next run, and compare the bytes"
    doc_description = "If no task is given, those of the present parameters are forgotten; others never are."

    def _execute(self, forget_sub: bool, forget_disable_default: bool, forget_all: bool) -> None:
        tasks: dict[str, Any] = {task.name: task for task in self.task_list}
        if forget_all:
            self.sel_tasks = list(tasks)
        elif self.sel_default_tasks and forget_disable_default:
            self.outstream.write("no tasks specified, pass task name, --enable-default or --all\n")
            return
        check_tasks_exist(tasks, self.sel_tasks)
        selected = list(tasks_and_deps_iter(tasks, self.sel_tasks, True)) if forget_sub else []
        for name in self.sel_tasks:
            selected += [tasks[name], *subtasks_iter(tasks, tasks[name])]
        for task in {task.name: task for task in selected}.values():
            self.dep_manager.remove(task.name)
            if task.meta and "artifact" in task.meta and forget_artifact(Path(task.meta["artifact"])):
                self.outstream.write(f"forgotten: {task.title()}\n")
        self.dep_manager.close()
