"""`doit` and `doit run`: stage by stage."""

import functools
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from doit.cmd_base import subtasks_iter
from doit.cmd_run import Run as DoitRun
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from stages.commands.command_line import read_overrides
from stages.commands.faulty import is_faulty, mention, set_fault
from stages.commands.invocation import Invocation
from stages.commands.one_message import OneMessage, refuse_unmatched
from stages.commands.reporter import QUIET_REPORTERS, REPORTERS, of_run, report_faults
from stages.commands.sweep_names import expand_sweeps
from stages.run.next_steps import command_for
from stages.run.screen import LazyScreen, Screen, SilentScreen
from stages.run.signals import as_interrupts

NO_WAIT: Mapping[str, Any] = {
    "name": "no_wait",
    "long": "no-wait",
    "type": bool,
    "default": False,
    "help": "fail where another run makes the same, or has the accelerator, and say who it is [default: %(default)s]",
}
DRAFT_WORDS = ("draft",)  # of the command line, for drafts
_JSON = "json"  # the reporter that gathers all that is printed
_QUIET_VERBOSITIES = (0, 1)  # doit's: what tasks print on stdout is not shown


class Run(OneMessage, DoitRun):  # type: ignore[misc] # doit has no types
    """As doit's own, in the order in which dodo.py lists tasks: all encodes, then all denoises, ...

    doit itself would finish the first of several selected videos before it begins the second, and load every model
    once per video. Videos that cannot be made fail last, all of them, so that they keep nothing else from being made.
    """

    cmd_options = (*DoitRun.cmd_options, NO_WAIT)
    says_what_is_left = True
    words: Sequence[str] = ()  # of the command line, by which this command differs from `doit`
    task_list: list[Any]  # these three are doit's
    sel_tasks: list[str] | None
    sel_default_tasks: bool  # whether nobody has named tasks

    doc_usage = "[TASK ...] [stage.name=value ...] [video=NAME]"
    doc_description = """\
Makes what is missing or has changed of the selected tasks (default: all), and of what they are made of. A task is a
stage, a video, a sweep (all of its videos) or a single artifact; `doit list --all` names them.

`stage.name=value` gives a parameter another value for this run, in all videos or, with `video=NAME`, in one.

With --always-execute it makes all of that again, whether it is fresh or not, and says whether the bytes are the same;
with --single it looks only at what is selected. With --continue a failure stops only what depends on it.

Examples:
doit
doit demo
doit encode
doit demo denoise.seed=7 export.fps=24
doit denoise.seed=7 video=demo
doit demo 'encode.prompt=A blue square moves up.'
"""

    def get_reporters(self) -> dict[str, Any]:
        """doit's kinds of reports by name; those for people are this project's."""
        return {**super().get_reporters(), **REPORTERS}

    def invocation(self, params: Any) -> Invocation:
        """What dodo.py is to know: also whether everything is made again, and where running nodes are shown."""
        is_quiet = params["reporter"] in QUIET_REPORTERS or params["verbosity"] in _QUIET_VERBOSITIES
        screen = SilentScreen() if is_quiet else LazyScreen(self._open_display(params))
        # as if it only read: where something is to be made, `at_start` asks whether the store can take it
        if self.are_drafts:
            self.words = DRAFT_WORDS
        known = replace(super().invocation(params), is_read_only=True, is_always=params["always"], screen=screen)
        say = _say_nothing if is_quiet else _say_aside if params["reporter"] == _JSON else known.say
        self._screen = screen
        return replace(known, waits=not params["no_wait"], say=say)

    def execute(self, params: Any, args: list[str]) -> int:
        """As OneMessage's; DOIT_CONFIG's `at_start` is called with the names of the tasks, in their order.

        It is also given those that were typed. It gives back the reasons of videos that cannot be made, by their names,
        and the names that are left without these videos. `at_complete` is called when all have had their turn.
        """
        self._params = params  # dodo.py's configuration is added to it
        with as_interrupts():  # so that a process in the middle of a job may save it
            return super().execute(params, args)

    @functools.wraps(DoitRun._execute)  # doit passes the options that the signature names
    def _execute(self, *arguments: Any, **options: Any) -> int:
        _refuse(options)
        everything = {task.name: task for task in self.task_list}
        typed = () if self.sel_default_tasks else tuple(self.sel_tasks or ())
        asked = [*self._select(is_single=options["single"])]
        names = self._names_of_run()
        faults, left = self._params.get("at_start", lambda names, _typed: ({}, names))(names, typed)
        asked += [set_fault(everything[name], fault) for name, fault in faults.items()]
        if faults:
            self._drop({*names} - {*left})
        kind = options["reporter"]
        kind = self.reporters[kind] if isinstance(kind, str) else kind
        options["reporter"] = of_run(report_faults(kind, asked), self._screen, self._command_for)
        code = int(super()._execute(*arguments, **options))
        self._params.get("at_complete", lambda: None)()
        return code or int(bool(asked))

    def _select(self, *, is_single: bool) -> Sequence[Any]:
        """Leave only tasks that are to be run, as dodo.py lists them; those of the selected ones that cannot be."""
        refuse_unmatched(self.sel_tasks or (), self.task_list)
        left_out = self.dep_manager.ignored  # before anything runs: it may be that they cannot be read
        control = TaskControl(self.task_list)
        control.process(self.sel_tasks)
        selected = expand_sweeps(control.selected_tasks, control.tasks)
        faulty = [task for task in self.task_list if is_faulty(task)]
        is_all = any(control.tasks[name].has_subtask for name in selected)  # a stage is that of all videos
        asked = [task for task in faulty if is_all or task.name in selected]
        if faulty and not asked:
            print(mention(faulty), file=sys.stderr)
        ignored = [task for task in asked if task.name in left_out]
        asked = [task for task in asked if task not in ignored]
        sound = [name for name in selected if not is_faulty(control.tasks[name])]
        sound += [task.name for task in ignored]  # doit says that they are
        needed = _without_groups(control.tasks, sound) if is_single else _with_dependencies(control.tasks, sound)
        self.task_list = [task for task in self.task_list if task.name in needed]
        for task in self.task_list if is_single else ():
            task.task_dep = []
        self.sel_tasks = None  # all, in the order of the list
        return asked

    def _names_of_run(self) -> Sequence[str]:
        """Names of the tasks that are not ignored, with all that is made from those; they stand in their order."""
        left_out = {*self.dep_manager.ignored}
        for task in self.task_list:
            if not task.has_subtask and not left_out.isdisjoint(task.task_dep):
                left_out.add(task.name)
        return [task.name for task in self.task_list if task.name not in left_out]

    def _drop(self, dropped: Collection[str]) -> None:
        """Take the tasks with these names from those that are to be run."""
        self.task_list = [task for task in self.task_list if task.name not in dropped]
        for task in self.task_list:
            task.task_dep = [name for name in task.task_dep if name not in dropped]

    def _command_for(self, videos: Sequence[str]) -> str:
        """The command line that asks for videos with the parameters of this run."""
        return command_for(videos, read_overrides(), *self.words)

    def _open_display(self, params: Any) -> Any:
        """What opens the display: on the file for output, which doit opens later, if one is named."""

        def open_screen() -> Screen:
            from stages.run.display import open_display  # noqa: PLC0415 (slow, and only of use when something runs)

            is_file = isinstance(params["outfile"], str) and params["reporter"] != _JSON
            num_at_once = max(params["num_process"], 1)
            return open_display(self.outstream if is_file else None, num_at_once=num_at_once)

        return open_screen


def _say_nothing(_text: str) -> None:
    pass


def _say_aside(text: str) -> None:
    """What is for people, where stdout is for programs."""
    print(text, file=sys.stderr)


def _refuse(options: dict[str, Any]) -> None:
    """Raise InvalidCommand for options that this project has no use for."""
    if options["num_process"] < 0:
        raise InvalidCommand(f"doit run: -n {options['num_process']}: must be 0 or more.")
    if options["verbosity"] not in (*_QUIET_VERBOSITIES, 2, None):
        raise InvalidCommand(f"doit run: -v {options['verbosity']}: must be 0, 1 or 2.")
    if options["pdb"]:
        raise InvalidCommand(
            "doit run: --pdb: a stage runs in a process of its own. Start the debugger there: "
            "`python -m stages.<stage> --video NAME --pdb`."
        )
    if options["num_process"] and options["par_type"] == "process":
        raise InvalidCommand(
            "doit run: -P process: each stage has a process of its own already, which `doit -n` shares among threads. "
            "Leave -P out."
        )


def _with_dependencies(tasks: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Names of tasks and of all that they depend on. doit's own search takes the square of their number."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [*tasks[name].task_dep, *tasks[name].setup_tasks]
    return found


def _without_groups(tasks: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Names of tasks, and in place of a group those of its tasks."""
    return {each for name in names for each in [task.name for task in subtasks_iter(tasks, tasks[name])] or [name]}
