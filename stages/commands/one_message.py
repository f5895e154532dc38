"""What all commands on tasks share: one message and exit code 1 when one cannot go on, and no database."""

import fnmatch
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from stages.commands.command_line import DEBUG, CommandLine, read_overrides
from stages.commands.invocation import Invocation, invoking
from stages.commands.task_states import TaskStates
from stages.errors import StagesError
from stages.pipeline.stages import COMMAND_NAMES
from stages.request.names import near
from stages.request.params import RESERVED_NAMES
from stages.run.text_streams import find_fault_of_stdout

_FAILURE = 1
_NOT_STARTED = "Nothing had been started."
_NO_TASK = re.compile(r"'(?P<name>.*)' is not a task\.", re.DOTALL)
_WRONG_USE = (InvalidCommand, InvalidDodoFile, InvalidTask, CmdParseError)


class OneMessage(CommandLine):
    """Before a command of doit in the order of base classes: turns what stops it into one message.

    Attributes:
        is_read_only: whether the command makes and changes nothing: then it works on a store that cannot be written.
        states: what answers doit's questions about tasks.
        says_what_is_left: whether DOIT_CONFIG's `at_end` knows what a Ctrl-C has interrupted.
    """

    is_read_only = False
    states: type[TaskStates] = TaskStates
    says_what_is_left = False
    dep_manager: Any  # what doit asks about tasks
    base_options = (DEBUG,)  # of each command, besides its own; doit's are about its database

    def get_backends(self) -> Mapping[str, Any]:
        """doit's kinds of database: none."""
        return {}

    def execute(self, params: Any, args: list[str]) -> int:
        """Do the command on the tasks named in `args`, then call DOIT_CONFIG's `at_end`; the exit code, 0 or 1.

        `at_end` gives back a sentence on what was being made just then.
        """
        is_debug, is_interrupted, left = params["debug"], False, _NOT_STARTED
        params.add_defaults({"backend": None, "check_file_uptodate": None, "codec_cls": None})  # which doit reads
        self.dep_manager = self.states(params)
        try:
            with invoking(self.invocation(params)):
                return min(int(super().execute(params, args) or 0), _FAILURE)  # type: ignore[misc] # of doit's command
        except KeyboardInterrupt:
            is_interrupted = True
        except BrokenPipeError:
            find_fault_of_stdout()  # the rest is dropped: who reads it has seen enough
            return _FAILURE
        except (StagesError, OSError, *_WRONG_USE) as error:
            if is_debug and not isinstance(error, _WRONG_USE):
                traceback.print_exc()
            message = find_fault_of_stdout(error) or self._explain(error)
        finally:
            left = params.get("at_end", lambda: _NOT_STARTED)()
        print(f"interrupted. {self._explain_interrupt(left)}" if is_interrupted else message, file=sys.stderr)
        return _FAILURE

    def invocation(self, params: Any) -> Invocation:
        """What dodo.py is to know of the command with these options."""
        return Invocation(
            read_overrides(),
            is_debug=params["debug"],
            is_read_only=self.is_read_only,
            only_shows=self.is_read_only,
            is_draft=self.are_drafts,
        )

    def _explain_interrupt(self, left: str) -> str:
        if self.says_what_is_left:
            return f"{left} `doit` goes on from here."
        return "Nothing was changed." if self.is_read_only else "What was done before stays done."

    def _explain(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.filename:
            return f"{error.filename}: {error.strerror}. Fix that and run it again."
        of_a_name = _NO_TASK.fullmatch(str(error))  # doit has two messages for an unknown task
        name = getattr(error, "not_found", None) or (of_a_name and of_a_name["name"])
        if name:
            return self._explain_name(name)
        kind = f"{type(error).__name__}: " if isinstance(error, StagesError) else ""
        return f"{kind}{error}".strip()

    def _explain_name(self, name: str) -> str:
        """What is said of a name that is no task's."""
        if name in self.loader.cmd_names:  # type: ignore[attr-defined] # of doit's command
            return f"{name}: a command comes before everything else: `doit {name} ...`."
        if name in COMMAND_NAMES:
            return (
                f"{name}: a command that this project's settings do not name. `python -m stages.new --update .` writes "
                "doit.cfg anew, and then they do."
            )
        known = {*RESERVED_NAMES, *(task.name for task in getattr(self, "task_list", []))} - {name}
        return f"{name}: no such task or command.{near(name, known)} See `doit list` and `doit help`."


def refuse_unmatched(names: Sequence[str], tasks: Sequence[Any]) -> None:
    """Raise InvalidCommand for a pattern that no task's name matches."""
    for pattern in names:
        if "*" in pattern and not any(fnmatch.fnmatch(task.name, pattern) for task in tasks):
            raise InvalidCommand(f"{pattern}: matches no task. `doit list --all` names all there are.")
