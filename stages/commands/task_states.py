"""What doit asks about tasks, answered without a database: docs/decisions/0028-no-database.md.

A task is up to date when its `uptodate` says so, which here is the store's word. Files of `file_dep` and targets are
not looked at, and nothing is remembered of a task that has run. Takes the place of doit's `Dependency`.
"""

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any

from doit.dependency import DependencyStatus

from stages.store.ignored_tasks import IgnoredTasks


class TaskStates:
    """The methods are those that doit calls. `ignore` and `remove` count when `close` is called, as in doit's own."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` of a command get DOIT_CONFIG's `ignored`, where ignored tasks are kept, when doit reads dodo.py."""
        self._options = options
        self._added: set[str] = set()
        self._removed: set[str] = set()

    @cached_property
    def ignored(self) -> Set[str]:
        """Names of the tasks that are ignored. Raises StoreError."""
        return self._file.read()

    @property
    def _file(self) -> IgnoredTasks:
        file: IgnoredTasks = self._options["ignored"]
        return file

    def status_is_ignore(self, task: Any) -> bool:
        """Whether a task is ignored. Raises StoreError."""
        return task.name in self.ignored

    def ignore(self, task: Any) -> None:
        """Ignore a task from now on."""
        self._added.add(task.name)

    def remove(self, name: str) -> None:
        """Ignore a task no longer."""
        self._removed.add(name)

    def close(self) -> None:
        """Write what is ignored, if that has changed. Raises StoreError."""
        if self._added or self._removed:
            self._file.change(add=self._added, remove=self._removed)

    def get_status(self, task: Any, tasks: Mapping[str, Any], get_log: bool = False) -> DependencyStatus:  # noqa: ARG002 (doit's)
        """Whether a task is up to date, by itself; with `get_log` the reasons, too."""
        status = DependencyStatus(get_log)
        if not task.uptodate:
            status.set_reason("has_no_dependencies", True)
        for check, arguments, options in task.uptodate:
            is_fresh = check(*arguments, **options) if callable(check) else check is True
            if not is_fresh and status.add_reason("uptodate_false", (check, arguments, options)):
                break
        return status

    def get_values(self, _name: str) -> dict[str, Any]:
        """Values that tasks have saved for others: there are none."""
        return {}

    def save_success(self, task: Any) -> None:
        """A task has been run; the store knows."""

    def remove_success(self, task: Any) -> None:
        """A task has failed; the store knows."""


class ShownStates(TaskStates):
    """As `list` and `info` show them: a stage or a video is up to date when all that it is made from is, too.

    A run needs no such look: what a task is made from has been made when its turn comes.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """As TaskStates."""
        super().__init__(options)
        self._is_due: dict[str, bool] = {}  # by name of a task: many videos share one

    def get_status(self, task: Any, tasks: Mapping[str, Any], get_log: bool = False) -> DependencyStatus:
        """Whether a task is up to date; with `get_log` the reasons, too, for each task that it waits for."""
        status: DependencyStatus = super().get_status(task, tasks, get_log)
        for each in self.find_due(task, tasks):
            for reason in super().get_status(each, tasks, get_log=True).reasons["uptodate_false"]:
                status.add_reason("uptodate_false", reason)
        return status

    def find_due(self, task: Any, tasks: Mapping[str, Any]) -> list[Any]:
        """Of all that a stage, a video or a sweep depends on, what is neither up to date nor ignored, inputs first."""
        return [each for each in self.find_needed(task, tasks) if self._would_run(each, tasks)]

    def find_needed(self, task: Any, tasks: Mapping[str, Any]) -> list[Any]:
        """All that a stage, a video or a sweep depends on, inputs first.

        Of a single artifact's task none: its own state says it.
        """
        if not task.has_subtask and {"video", "sweep"}.isdisjoint(task.meta or {}):
            return []
        found: dict[str, None] = {}
        waiting = [*task.task_dep]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += tasks[name].task_dep
        return [tasks[name] for name in reversed(found)]

    def _would_run(self, task: Any, tasks: Mapping[str, Any]) -> bool:
        if task.name not in self._is_due:
            is_fresh = super().get_status(task, tasks).status == "up-to-date"
            self._is_due[task.name] = not is_fresh and not self.status_is_ignore(task)
        return self._is_due[task.name]
