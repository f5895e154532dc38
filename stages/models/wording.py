"""How messages list names and quote what others say."""

from collections.abc import Sequence
from typing import Final

from stages.machine.printable import cut, printable

COPY_AGAIN: Final = "Download or copy it again."
MAX_QUOTED: Final = 300  # characters of what somebody else's program says
_MAX_NAME = 120  # characters of one
_MAX_NAMES = 3  # that are listed; a checkpoint can have hundreds of shards


def name_some(names: Sequence[str], max_names: int = _MAX_NAMES) -> str:
    """The first names, and how many more there are; "nothing" where there is none."""
    shown = ", ".join(cut(printable(name), _MAX_NAME) for name in names[:max_names]) or "nothing"
    more = len(names) - max_names
    return f"{shown} and {more} more" if more > 0 else shown


def quote(text: str) -> str:
    """What another program says, on one line, cut where it is long."""
    line = printable(text)
    return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}..."
