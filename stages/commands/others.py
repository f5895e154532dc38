"""doit's other commands: `help`, `ignore`, `reset-dep`, `strace`, `tabcompletion` and `dumpdb`."""

import pprint

from doit.cmd_base import DoitCmdBase, opt_backend
from doit.cmd_completion import TabCompletion as DoitTabCompletion
from doit.cmd_help import Help as DoitHelp
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.cmd_strace import Strace as DoitStrace
from doit.exceptions import InvalidCommand

from stages.commands.one_message import OneMessage


class Help(OneMessage, DoitHelp):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    is_read_only = True


class Ignore(OneMessage, DoitIgnore):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    doc_purpose = "skip tasks in later runs, until `doit forget`"

    def _execute(self, pos_args: list[str]) -> None:
        if not pos_args:
            raise InvalidCommand("doit ignore: name the tasks to skip. `doit list --all` names all there are.")
        super()._execute(pos_args)


class ResetDep(OneMessage, DoitResetDep):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""


class Strace(OneMessage, DoitStrace):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""


class TabCompletion(OneMessage, DoitTabCompletion):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""

    is_read_only = True


class DumpDB(OneMessage, DoitCmdBase):  # type: ignore[misc] # doit has no types
    """Prints doit's records. doit's own reads no SQLite database, which is what this project has."""

    doc_purpose = "print doit's records: what it remembers of each task's last run"
    base_options = tuple(option for option in OneMessage.base_options if option is not opt_backend)
    is_read_only = True

    def _execute(self) -> None:
        for task, record in self.dep_manager.backend.items():
            self.outstream.write(f"{task} -> {pprint.pformat(record, indent=4, width=100)}\n")
