"""`doit forget`: make artifacts again, though nothing has changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit.cmd_base import check_tasks_exist, subtasks_iter, tasks_and_deps_iter
from doit.cmd_forget import Forget as DoitForget

from stages.commands.faulty import explain_faults
from stages.commands.one_message import OneMessage
from stages.commands.sweep_names import expand_sweeps
from stages.commands.work_done import print_work
from stages.request.draft import name_draft
from stages.store.removal import forget_artifact


class Forget(OneMessage, DoitForget):  # type: ignore[misc] # doit has no types
    """As doit's own, and the store forgets as well: the next run says whether the bytes are the same."""

    doc_purpose = "make the artifacts of tasks again at the next run, and compare the bytes"
    doc_description = "If no task is given, those of the present parameters are forgotten; others never are."

    def _execute(self, forget_sub: bool, forget_disable_default: bool, forget_all: bool) -> int:
        tasks: dict[str, Any] = {task.name: task for task in self.task_list}
        if forget_all:
            self.sel_tasks = list(tasks)
        elif self.sel_default_tasks and forget_disable_default:
            self.outstream.write("no tasks specified, pass task name, --enable-default or --all\n")
            return 0
        check_tasks_exist(tasks, self.sel_tasks)
        self.sel_tasks = expand_sweeps(self.sel_tasks, tasks)
        selected = list(tasks_and_deps_iter(tasks, self.sel_tasks, True)) if forget_sub else []
        for name in self.sel_tasks:
            selected += [tasks[name], *subtasks_iter(tasks, tasks[name])]
        selected = list({task.name: task for task in selected}.values())
        faults = explain_faults(task for task in selected if not self.dep_manager.status_is_ignore(task))
        forgotten: list[str] = []
        try:
            for task in selected:
                forgotten += self._forget(task)
        except OSError:  # of one that cannot be forgotten: those before it are
            self.dep_manager.close()
            self.outstream.write("".join(f"{line}\n" for line in forgotten))
            raise
        self.dep_manager.close()
        lines = [*forgotten, *faults]
        lines = lines or [f"nothing to forget.{self._advise(selected)}"]
        is_printed = print_work(
            lambda: self.outstream.write("".join(f"{line}\n" for line in lines)), "; ".join(forgotten)
        )
        return int(bool(faults) or not is_printed)

    def _forget(self, task: Any) -> list[str]:
        """What has ended, if anything: the artifact, or that the task is ignored, which is all that ends then."""
        is_ignored = self.dep_manager.status_is_ignore(task)
        self.dep_manager.remove(task.name)
        if is_ignored:
            return [f"no longer ignored: {task.title()}"]
        if not (task.meta and "artifact" in task.meta and forget_artifact(Path(task.meta["artifact"]))):
            return []
        return [f"forgotten: {task.title()}"]

    def _advise(self, selected: Sequence[Any]) -> str:
        """What a person may have meant who forgets a video: it has no artifact of its own."""
        videos = [task.name for task in selected if task.meta and "video" in task.meta]
        if not videos:
            return ""
        name = name_draft(videos[0]) if self.are_drafts else videos[0]
        return f" `doit forget --follow-sub {name}` forgets all that a video is made of."
