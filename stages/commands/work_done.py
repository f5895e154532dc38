"""What is printed of work that is done: where stdout does not take it, the work is not taken for undone."""

import sys
from collections.abc import Callable

from stages.run.text_streams import find_fault_of_stdout

_NO_READER = "what is printed cannot be written (nobody reads it)."


def print_work(report: Callable[[], None], done: str) -> bool:
    """Print a report; otherwise one message on stderr says that it cannot be printed, and what was done all the same.

    Args:
        report: prints to stdout.
        done: what has changed, such as "pinned: demo"; "" where nothing has: then an error of the report is raised.
    Returns:
        Whether it is printed.
    Raises:
        OSError: of the report, and not of stdout.
    """
    try:
        report()
        sys.stdout.flush()
    except OSError as error:
        if not done or error.filename is not None:
            raise
        print(f"{find_fault_of_stdout(error) or _NO_READER} Done all the same: {done}.", file=sys.stderr)
        return False
    return True
