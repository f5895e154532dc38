"""doit's other commands: `help`, `ignore`, `reset-dep`, `strace` and `dumpdb`."""

import sys
from collections.abc import Mapping
from typing import Any, Final

from doit.cmd_base import DoitCmdBase, check_tasks_exist, subtasks_iter
from doit.cmd_help import Help as DoitHelp
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.cmd_strace import Strace as DoitStrace
from doit.exceptions import InvalidCommand

from stages.commands.one_message import OneMessage
from stages.commands.sweep_names import expand_sweeps

_TASKS_AND_PARAMETERS: Final = """
Tasks and parameters
  doit                            make what is missing or has changed of all videos
  doit demo                       of one video; params/videos/demo.toml says what it is
  doit encode                     of one stage, for all videos; `doit list` names stages and videos
  doit demo denoise.seed=7        with another value of a parameter, as many as you like: stage.name=value
  doit denoise.seed=7 video=demo  with that value in one video; the others keep theirs
  doit info demo denoise.seed=7   other commands take parameters, too

  `doit help run` has more examples. params/*.toml set what is to hold from now on.
"""


class Help(OneMessage, DoitHelp):  # type: ignore[misc] # doit has no types
    """As doit's own, but a name that is nobody's is an error."""

    is_read_only = True

    def execute(self, params: Any, args: list[str]) -> int:
        """Print the help; the exit code."""
        if len(args) > 1:
            print(f"doit help: takes one name, and not {len(args)}. `doit help` names all commands.", file=sys.stderr)
            return 1
        return int(super().execute(params, args))

    def print_usage(self, cmds: Mapping[str, Any]) -> None:
        """As doit's, with how tasks are asked for and parameters are set."""
        super().print_usage(cmds)
        print(_TASKS_AND_PARAMETERS, end="")

    def _execute(self, pos_args: list[str]) -> bool:
        check_tasks_exist({task.name: task for task in self.task_list}, pos_args)
        return bool(super()._execute(pos_args))


class Ignore(OneMessage, DoitIgnore):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it, and of a group its tasks alone."""

    doc_purpose = "skip tasks in later runs, until `doit forget`"
    takes_drafts = False  # a video that is ignored is so as a draft, too

    def _execute(self, pos_args: list[str]) -> None:
        if not pos_args:
            raise InvalidCommand("doit ignore: name the tasks to skip. `doit list --all` names all there are.")
        tasks = {task.name: task for task in self.task_list}
        check_tasks_exist(tasks, pos_args)
        members = {
            task.name: task
            for name in expand_sweeps(pos_args, tasks)
            for task in (subtasks_iter(tasks, tasks[name]) if tasks[name].has_subtask else [tasks[name]])
        }
        for task in members.values():
            self.dep_manager.ignore(task)
        self.dep_manager.close()
        for name in members:
            self.outstream.write(f"ignored from now on: {name}. `doit forget {name}` ends that.\n")


class ResetDep(OneMessage, DoitResetDep):  # type: ignore[misc] # doit has no types
    """Refuses: doit renews its records of files, and here are none."""

    doc_purpose = "not of use here: renews records of files, and there are none"
    doc_description = None

    def execute(self, params: Any, args: list[str]) -> int:  # noqa: ARG002 (doit's)
        """Say what to do in its place; 1."""
        print(
            "doit reset-dep: renews doit's records of files, and here are none: the store says what is up to date. "
            "`doit info TASK` says why a task is not; `doit forget TASK` has it made again.",
            file=sys.stderr,
        )
        return 1


class Strace(OneMessage, DoitStrace):  # type: ignore[misc] # doit has no types
    """Refuses: doit traces shell commands, and here no task is one."""

    doc_purpose = "not of use here: traces tasks that are shell commands"
    doc_description = None

    def execute(self, params: Any, args: list[str]) -> int:  # noqa: ARG002 (doit's)
        """Say what to do in its place; 1."""
        print(
            "doit strace: traces tasks that are shell commands, and here none is. To see which files a stage opens: "
            "`strace -f -e trace=file python -m stages.decode --video NAME`.",
            file=sys.stderr,
        )
        return 1


class DumpDB(OneMessage, DoitCmdBase):  # type: ignore[misc] # doit has no types
    """Prints all that is remembered besides artifacts: which tasks are ignored."""

    doc_purpose = "print what is remembered between runs: which tasks `doit ignore` leaves out"
    is_read_only = True

    def _execute(self) -> None:
        for name in sorted(self.dep_manager.ignored):
            self.outstream.write(f"ignored: {name}\n")
        if not self.dep_manager.ignored:
            self.outstream.write("nothing is ignored, and nothing else is remembered: the store says what is made.\n")
