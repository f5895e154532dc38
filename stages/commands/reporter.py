"""What doit prints of a run: one line per artifact that was made, one per video, and errors as one message."""

import os
from typing import Any

from doit.reporter import ConsoleReporter


class Reporter(ConsoleReporter):  # type: ignore[misc] # doit has no types
    """Quiet about what is fresh. A node prints its own lines while it runs (display.py)."""

    def execute_task(self, task: Any) -> None:
        """Nothing yet: most tasks that doit executes find that they are fresh."""

    def add_success(self, task: Any) -> None:
        """Say where a video is."""
        if task.meta and "video" in task.meta:
            self.write(f"{task.name}: {os.path.relpath(task.meta['video'])}\n")

    def skip_uptodate(self, task: Any) -> None:
        """Say where a video is, and that nothing had to be done."""
        if task.meta and "video" in task.meta:
            self.write(f"{task.name}: {os.path.relpath(task.meta['video'])} (up to date)\n")

    def _write_failure(self, result: Any, write_exception: bool = True) -> None:  # noqa: ARG002
        self.write(f"{result['exception'].get_msg().strip()}\n")

    def complete_run(self) -> None:
        """Errors of doit itself; those of tasks have been shown."""
        for message in self.runtime_errors:
            self.write(f"{message}\n")
