"""doit's other commands that open its records: `help`, `ignore`, `reset-dep` and `strace`."""

from doit.cmd_help import Help as DoitHelp
from doit.cmd_ignore import Ignore as DoitIgnore
from doit.cmd_resetdep import ResetDep as DoitResetDep
from doit.cmd_strace import Strace as DoitStrace

from stages.commands.one_message import OneMessage


class Help(OneMessage, DoitHelp):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""


class Ignore(OneMessage, DoitIgnore):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""


class ResetDep(OneMessage, DoitResetDep):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""


class Strace(OneMessage, DoitStrace):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""
