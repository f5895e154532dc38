"""What doit prints of a run: one line per artifact that was made, one per video, and errors as one message."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ConsoleReporter, JsonReporter
from doit.task import Stream

from stages.commands.faulty import explain_faults, is_faulty, videos_of
from stages.models.wording import name_some
from stages.run.next_steps import command_for
from stages.run.screen import Screen, SilentScreen

_PRINT_ALL = 2  # doit's verbosity


class Reporter(ConsoleReporter):  # type: ignore[misc] # doit has no types
    """Quiet about what is fresh. A node prints its own lines while it runs (display.py).

    Where several videos were asked for and something failed, the end is a summary: what failed and why, and which
    videos nobody looked at any more because the run ended there.
    """

    desc = "where videos are, and what failed"
    screen: Screen = SilentScreen()  # that shows the nodes of this run
    command_for: Callable[[Sequence[str]], str] = staticmethod(partial(command_for, overrides=MappingProxyType({})))

    def __init__(self, outstream: Any, options: Any) -> None:
        """As doit's."""
        super().__init__(outstream, options)
        self._tasks: list[Any] = []
        self._ended: set[str] = set()  # names of tasks of which anything was reported
        self._ignored: set[str] = set()
        self._printed: set[str] = set()

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: Sequence[str]) -> None:  # noqa: ARG002 (doit's)
        """Take note of what is asked for."""
        self._tasks = list(tasks.values())

    def write(self, text: str) -> None:
        """As doit's; `doit -o FILE` opens the file strictly, and the name of a file can be no text in UTF-8."""
        with self.screen.above():
            super().write(text.encode("utf-8", "backslashreplace").decode())

    def execute_task(self, task: Any) -> None:
        """Nothing yet: most tasks that doit executes find that they are fresh."""

    def add_success(self, task: Any) -> None:
        """Say where a video is."""
        self._end(task, "")

    def skip_uptodate(self, task: Any) -> None:
        """Say where a video is, and that nothing had to be done."""
        self._end(task, " (up to date)")

    def skip_ignore(self, task: Any) -> None:
        """Say what is not made because of `doit ignore`, and how that is undone."""
        self._ended.add(task.name)
        before = [name for name in task.task_dep if name in self._ignored]
        self._ignored.add(task.name)
        if not before:
            self.write(f"{task.name}: ignored, with all that is made from it. `doit forget {task.name}` ends that.\n")
        elif task.meta and "video" in task.meta:
            self.write(f"{task.name}: not made, because {before[0]} is ignored\n")

    def add_failure(self, task: Any, fail: Any) -> None:
        """Say why something failed; what depends on it fails too, and is not mentioned."""
        self._ended.add(task.name)
        self.screen.settle(task.name, is_needless=False)
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)

    def complete_run(self) -> None:
        """The summary, and errors of doit itself."""
        self.screen.close()
        if len(self._asked()) > 1 or not self.failures:
            for line in self.screen.summarize():
                self.write(f"{line}\n")
        for message in self.runtime_errors:
            self.write(f"{message}\n")
        if len(self._asked()) > 1:
            self._summarize()

    def _asked(self) -> Mapping[str, Any]:
        """Names of the videos that were asked for, or, where only stages were, of all that these are for."""
        names = [task.name for task in self._tasks if task.meta and "video" in task.meta]
        return dict.fromkeys(names or (video for task in self._tasks for video in videos_of(task)))

    def _end(self, task: Any, state: str) -> None:
        self._ended.add(task.name)
        self.screen.settle(task.name, is_needless=True)
        if task.meta and "video" in task.meta:
            self.write(f"{task.name}: {os.path.relpath(task.meta['video'])}{state}\n")

    def _write_failure(self, result: Any, write_exception: bool = True) -> None:  # noqa: ARG002
        message = result["exception"].get_msg().strip()
        if message not in self._printed:
            self._printed.add(message)
            self.write(f"{message}\n")

    def _summarize(self) -> None:
        """What failed, and which videos were left; nothing where all that failed stands just above."""
        failed = {result["task"].name: result for result in self.failures}
        if all(is_faulty(result["task"]) for result in failed.values()):
            return
        self.write("failed:\n")
        for name, result in failed.items():
            reason = result["exception"].get_msg().strip().partition("\n")[0].removeprefix(f"{name}: ")
            videos = name_some(videos_of(result["task"]))
            self.write(f"  {name}: {reason}\n" if videos in ("", name) else f"  {videos}: {name}: {reason}\n")
        begun = {video for result in failed.values() for video in videos_of(result["task"])}
        left = {video for task in self._tasks if task.name not in self._ended for video in videos_of(task)} - begun
        if names := [video for video in self._asked() if video in left]:
            self.write(f"not looked at any more: {name_some(names)}. `doit --continue` goes on after a failure.\n")
        else:
            names = [*dict.fromkeys((*filter(begun.__contains__, self._asked()), *sorted(begun)))]
            self.write(f"When that is fixed, `{self.command_for(names)}` makes what is left.\n")


class ExecutedOnly(Reporter):
    """As the usual one, without a word of what is up to date or ignored."""

    desc = "the same, without what is up to date or ignored"

    def skip_uptodate(self, task: Any) -> None:
        """Nothing."""
        self._ended.add(task.name)

    def skip_ignore(self, task: Any) -> None:
        """Nothing."""
        self._ended.add(task.name)


class ErrorOnly(ExecutedOnly):
    """Only the message of each failure."""

    desc = "messages of what failed, and nothing else"

    def add_success(self, task: Any) -> None:
        """Nothing."""

    def _summarize(self) -> None:
        """Nothing."""


class Json(JsonReporter):  # type: ignore[misc] # doit has no types
    """doit's own, whose word on a task that something before it kept from running is only a name."""

    def add_failure(self, task: Any, fail: Any) -> None:
        """Take note of why something failed, or of what failed before it."""
        if isinstance(fail, UnmetDependency):
            fail = UnmetDependency(f"not made, because this failed: {fail.get_msg().strip()}")
        super().add_failure(task, fail)

    def complete_run(self) -> None:
        """As doit's, which has no word for a task that was interrupted."""
        for result in self.t_results.values():
            if result.result is None:
                result.set_result("interrupted")
        super().complete_run()


REPORTERS: Final[Mapping[str, type]] = MappingProxyType({
    "console": Reporter,
    "executed-only": ExecutedOnly,
    "error-only": ErrorOnly,
    "json": Json,
})  # fmt: skip
QUIET_REPORTERS: Final = ("error-only", "zero")  # with them, running nodes are not shown either


def of_run(kind: type, screen: Screen, command_for: Callable[[Sequence[str]], str]) -> type:
    """A kind of reporter that knows what shows the nodes of its run, and the command that asks for videos as it did."""
    return type(kind.__name__, (kind,), {"screen": screen, "command_for": staticmethod(command_for)})


def report_faults(kind: type, tasks: Sequence[Any]) -> type:
    """A kind of reporter that reports these faulty tasks as failed, at the end of the run."""

    class WithFaults(kind):  # type: ignore[misc] # any of doit's or ours
        def complete_run(self) -> None:
            is_interrupted = isinstance(sys.exception(), KeyboardInterrupt)
            for task in () if is_interrupted else tasks:
                self.get_status(task)
                self.add_failure(task, task.execute(Stream(_PRINT_ALL)) or TaskFailed(explain_faults([task])[0]))
            super().complete_run()

    return WithFaults
