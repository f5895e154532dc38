"""`doit clean`: remove artifacts and links of videos."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from doit.cmd_clean import Clean as DoitClean
from doit.exceptions import BaseFail

from stages.commands.one_message import OneMessage, refuse_unmatched
from stages.commands.sweep_names import expand_sweeps
from stages.commands.work_done import print_work


class Clean(OneMessage, DoitClean):  # type: ignore[misc] # doit has no types
    """As doit's own, but what cannot be removed is one message and exit code 1."""

    def execute(self, params: Any, args: list[str]) -> int:
        """1 when something could not be removed."""
        self._num_failed = 0
        return super().execute(params, args) or int(self._num_failed > 0)

    def clean_tasks(self, tasks: list[Any], dryrun: bool, cleanforget: bool) -> None:
        """Run the tasks' clean actions, each task once; doit's own prints these instead of what they do."""
        out, removed = _Patient(self.outstream), list[str]()
        for task in {task.name: task for task in tasks}.values():
            task.init_options()
            if dryrun and task.clean_actions:
                out.write(f"would be removed, if it is there: {task.title()}\n")
                continue
            num_before = out.num_written
            for result in (action.execute(out=out) for action in task.clean_actions):
                if isinstance(result, BaseFail):
                    self._num_failed += 1
                    out.write(f"{result.get_msg().strip()}\n")
                elif out.num_written > num_before:
                    removed.append(task.title())
            if cleanforget:
                self.dep_manager.remove(task.name)
        if not out.num_written:
            out.write("nothing to remove: no artifact and no link of these tasks is there.\n")
        self.dep_manager.close()
        if not print_work(out.require_taken, f"removed: {', '.join(removed)}" if removed else ""):
            self._num_failed += 1

    def _expand(self, clean_list: Sequence[str]) -> list[str]:
        refuse_unmatched(clean_list, self.task_list)
        return expand_sweeps(super()._expand(clean_list), {task.name: task for task in self.task_list})


class _Patient:
    """Passes text on, and knows how often. What cannot be passed on keeps nothing else from being removed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._fault: OSError | None = None
        self.num_written = 0

    def write(self, text: str) -> None:
        self.num_written += 1
        with self._noting():
            self._stream.write(text)

    def flush(self) -> None:
        with self._noting():
            self._stream.flush()

    def require_taken(self) -> None:
        """Raise what the stream has raised."""
        if self._fault is not None:
            raise self._fault

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._fault = self._fault or error
