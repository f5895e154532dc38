"""`doit clean`: remove artifacts and links of videos."""

from typing import Any

from doit.cmd_clean import Clean as DoitClean
from doit.exceptions import BaseFail

from stages.commands.one_message import OneMessage


class Clean(OneMessage, DoitClean):  # type: ignore[misc] # doit has no types
    """As doit's own, but what cannot be removed is one message and exit code 1."""

    def execute(self, params: Any, args: list[str]) -> int:
        """1 when something could not be removed."""
        self._num_failed = 0
        return super().execute(params, args) or int(self._num_failed > 0)

    def clean_tasks(self, tasks: list[Any], dryrun: bool, cleanforget: bool) -> None:
        """Run the tasks' clean actions, each task once; doit's own prints these instead of what they do."""
        for task in {task.name: task for task in tasks}.values():
            task.init_options()
            if dryrun and task.clean_actions:
                self.outstream.write(f"would be removed, if it is there: {task.title()}\n")
                continue
            for result in (action.execute(out=self.outstream) for action in task.clean_actions):
                if isinstance(result, BaseFail):
                    self._num_failed += 1
                    self.outstream.write(f"{result.get_msg().strip()}\n")
            if cleanforget:
                self.dep_manager.remove(task.name)
        self.dep_manager.close()
