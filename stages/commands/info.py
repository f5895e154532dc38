"""`doit info`: what there is to know of one task."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from doit.cmd_base import check_tasks_exist, subtasks_iter
from doit.cmd_info import Info as DoitInfo

from stages.commands.faulty import explain_faults, is_faulty
from stages.commands.one_message import OneMessage
from stages.commands.sweep_names import is_sweep, videos_of_sweep
from stages.commands.task_states import ShownStates

_FAILURE = 1


class Info(OneMessage, DoitInfo):  # type: ignore[misc] # doit has no types
    """As doit's own, but the store's reason reads as a sentence and an unknown name is an error message."""

    is_read_only = True
    states = ShownStates

    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        tasks = {task.name: task for task in self.task_list}
        check_tasks_exist(tasks, pos_args)
        (task, *others) = [tasks[name] for name in pos_args] or [None]
        if task is None or others or not (task.has_subtask or is_faulty(task) or is_sweep(task)):
            return int(super()._execute(pos_args, hide_status))
        if is_faulty(task):
            self.outstream.write(f"\n{task.name}\n\ncannot be made\n{''.join(explain_faults([task]))}\n")
            return _FAILURE
        return self._describe_group(tasks, task, hide_status=hide_status)

    def _describe_group(self, tasks: Mapping[str, Any], group: Any, *, hide_status: bool) -> int:
        """Print the tasks of a group, and what would be made before them; the exit code: whether anything would run."""
        self.outstream.write(f"\n{group.name}\n\n{group.doc}\n\ntasks      : \n")
        own = map(tasks.__getitem__, videos_of_sweep(group)) if is_sweep(group) else subtasks_iter(tasks, group)
        members = {task.name: task for task in own}
        for task in members.values():
            status = "" if hide_status else f": {self.dep_manager.get_status(task, tasks).status}"
            self.outstream.write(f" - {task.name}  {task.doc}{status}\n")
        due = [] if hide_status else self.dep_manager.find_due(group, tasks)
        if before := [task for task in due if task.name not in members]:
            self.outstream.write("\nmade before : \n")
            self.outstream.write("".join(f" - {task.name}  {task.doc}: run\n" for task in before))
        return int(bool(due))

    @staticmethod
    def get_reasons(reasons: Mapping[str, Any]) -> str:
        """Why a task is not up to date, one reason per line."""
        answers = [f" * {answer!r}" for answer, _, _ in reasons["uptodate_false"]]
        others = defaultdict(list, reasons, uptodate_false=[])  # a verdict that needed no further look has few entries
        return "\n".join([*answers, DoitInfo.get_reasons(others)]).strip("\n")
