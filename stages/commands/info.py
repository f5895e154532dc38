"""`doit info`: what there is to know of one task."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from doit.cmd_base import check_tasks_exist
from doit.cmd_info import Info as DoitInfo

from stages.commands.one_message import OneMessage


class Info(OneMessage, DoitInfo):  # type: ignore[misc] # doit has no types
    """As doit's own, but the store's reason reads as a sentence and an unknown name is an error message."""

    is_read_only = True

    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        check_tasks_exist({task.name: task for task in self.task_list}, pos_args)
        return int(super()._execute(pos_args, hide_status))

    @staticmethod
    def get_reasons(reasons: Mapping[str, Any]) -> str:
        """Why a task is not up to date, one reason per line."""
        answers = [f" * {answer!r}" for answer, _, _ in reasons["uptodate_false"]]
        others = defaultdict(list, reasons, uptodate_false=[])  # a verdict that needed no further look has few entries
        return "\n".join([*answers, DoitInfo.get_reasons(others)]).strip("\n")
