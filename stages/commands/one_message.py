"""What all commands share: one message and exit code 1 when one cannot go on, and doit's records closed at its end."""

import re
import sqlite3
import sys
import traceback
from typing import Any

from doit.dependency import DatabaseException
from doit.exceptions import InvalidCommand

from stages.commands.database import Database
from stages.request.layers import near
from stages.request.params import RESERVED_NAMES

_FAILURE = 1
_NO_TASK = re.compile(r"'(?P<name>.*)' is not a task\.", re.DOTALL)


class OneMessage:
    """Before a command of doit in the order of base classes: turns what stops it into one message."""

    dep_manager: Any  # doit's; None until it opens its records

    def get_backends(self) -> dict[str, Any]:
        """doit's own kinds of database, but for SQLite one that can be closed."""
        return {**super().get_backends(), "sqlite3": Database}  # type: ignore[misc] # of doit's command

    def execute(self, params: Any, args: list[str]) -> int:
        """Do the command on the tasks named in `args`; the exit code.

        Then close doit's records and call DOIT_CONFIG's `at_end`, whatever happened.
        """
        try:
            return int(super().execute(params, args) or 0)  # type: ignore[misc] # of doit's command
        except KeyboardInterrupt:
            message = "interrupted. Nothing half-made was kept; `doit` goes on from here."
        except InvalidCommand as error:
            message = self._explain(error)
        except (sqlite3.Error, DatabaseException) as error:
            if params.get("debug"):
                traceback.print_exc()
            reason = str(error).rpartition("Original error: ")[2]  # before it doit gives advice of its own
            message = (
                f"{params['dep_file']}: {reason}. Make room or mend its permissions, or delete it: what has been made "
                "is whole and will be found again."
            )
        finally:
            if self.dep_manager is not None and isinstance(self.dep_manager.backend, Database):
                self.dep_manager.backend.close()
            params.get("at_end", lambda: None)()
        print(message, file=sys.stderr)
        return _FAILURE

    def _explain(self, error: InvalidCommand) -> str:
        of_a_name = _NO_TASK.fullmatch(str(error))  # doit says in two ways that there is no such task
        name = error.not_found or (of_a_name and of_a_name["name"])
        if name is None:
            return str(error)
        known = [*RESERVED_NAMES, *(task.name for task in getattr(self, "task_list", []))]
        return f"{name}: no such task or command.{near(name, known)} See `doit list` and `doit help`."
