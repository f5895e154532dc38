"""`doit clean`: remove artifacts and links of videos."""

from collections.abc import Sequence
from typing import Any

from doit.cmd_clean import Clean as DoitClean
from doit.exceptions import BaseFail

from stages.commands.one_message import OneMessage, refuse_unmatched


class Clean(OneMessage, DoitClean):  # type: ignore[misc] # doit has no types
    """As doit's own, but what cannot be removed is one message and exit code 1."""

    def execute(self, params: Any, args: list[str]) -> int:
        """1 when something could not be removed."""
        self._num_failed = 0
        return super().execute(params, args) or int(self._num_failed > 0)

    def clean_tasks(self, tasks: list[Any], dryrun: bool, cleanforget: bool) -> None:
        """Run the tasks' clean actions, each task once; doit's own prints these instead of what they do."""
        out = _Counting(self.outstream)
        for task in {task.name: task for task in tasks}.values():
            task.init_options()
            if dryrun and task.clean_actions:
                out.write(f"would be removed, if it is there: {task.title()}\n")
                continue
            for result in (action.execute(out=out) for action in task.clean_actions):
                if isinstance(result, BaseFail):
                    self._num_failed += 1
                    out.write(f"{result.get_msg().strip()}\n")
            if cleanforget:
                self.dep_manager.remove(task.name)
        if not out.num_written:
            self.outstream.write("nothing to remove: no artifact and no link of these tasks is there.\n")
        self.dep_manager.close()

    def _expand(self, clean_list: Sequence[str]) -> list[str]:
        refuse_unmatched(clean_list, self.task_list)
        return list(super()._expand(clean_list))


class _Counting:
    """Passes text on, and knows how often."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.num_written = 0

    def write(self, text: str) -> None:
        self.num_written += 1
        self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
