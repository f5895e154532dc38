"""`doit list`: the stages and videos, or every artifact's task."""

import sys
from typing import Any

from doit.cmd_list import List as DoitList

from stages.commands.one_message import OneMessage


class List(OneMessage, DoitList):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    is_read_only = True

    def execute(self, params: Any, args: list[str]) -> int:
        """Print the tasks; the exit code."""
        template = params["template"]
        try:
            (template or "").format(name="", doc="", **({"status": ""} if params["status"] else {}))
        except (LookupError, ValueError, AttributeError):
            print(f"--template {template}: may have {{name}}, {{doc}} and, with --status, {{status}}.", file=sys.stderr)
            return 1
        return super().execute(params, args)

    def _print_task(self, template: str, task: Any, *arguments: Any) -> None:
        """As doit's, and says what `doit ignore` has ended."""
        if self.dep_manager.status_is_ignore(task):
            task.doc = f"{task.doc} (ignored; `doit forget {task.name}` ends that)"
        super()._print_task(template, task, *arguments)
