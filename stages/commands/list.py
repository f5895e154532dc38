"""`doit list`: the stages and videos, or every artifact's task."""

from doit.cmd_list import List as DoitList

from stages.commands.one_message import OneMessage


class List(OneMessage, DoitList):  # type: ignore[misc] # doit has no types
    """As doit's own, with one message for what stops it."""
