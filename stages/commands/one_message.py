"""What a command of doit says when it cannot go on: one message and exit code 1."""

import sqlite3
import sys
import traceback
from typing import Any

from doit.dependency import DatabaseException
from doit.exceptions import InvalidCommand

from stages.request.layers import near
from stages.request.params import RESERVED_NAMES

_FAILURE = 1


class OneMessage:
    """Before a command of doit in the order of base classes: turns what stops it into one message."""

    def execute(self, params: Any, args: list[str]) -> int:
        """Do the command on the tasks named in `args`, then call DOIT_CONFIG's `at_end`; the exit code."""
        try:
            return int(super().execute(params, args) or 0)  # type: ignore[misc] # of doit's command
        except KeyboardInterrupt:
            message = "interrupted. Nothing half-made was kept; `doit` goes on from here."
        except InvalidCommand as error:
            known = [*RESERVED_NAMES, *(task.name for task in getattr(self, "task_list", []))]
            name = error.not_found or str(error).removesuffix(" is not a task.").strip("'")  # of two kinds of message
            message = f"{name}: no such task or command.{near(name, known)} See `doit list` and `doit help`."
        except (sqlite3.Error, DatabaseException) as error:
            if params.get("debug"):
                traceback.print_exc()
            reason = str(error).rpartition("Original error: ")[2]  # before it doit gives advice of its own
            message = (
                f"{params['dep_file']}: {reason}. Make room or mend its permissions, or delete it: what has been made "
                "is whole and will be found again."
            )
        finally:
            params.get("at_end", lambda: None)()
        print(message, file=sys.stderr)
        return _FAILURE
