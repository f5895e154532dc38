"""What a command passes to dodo.py, which doit imports without arguments, and how dodo.py's errors are shown."""

import functools
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from doit.exceptions import TaskFailed

from stages.commands.command_line import read_overrides
from stages.errors import StagesError
from stages.run.screen import LazyScreen, Screen
from stages.run.text_streams import end_when_nobody_reads


@dataclass(frozen=True)
class Invocation:
    """One call of a command.

    Attributes:
        overrides: parameters from the command line, text by dotted name.
        is_debug: whether the traceback behind an error message is shown.
        is_read_only: whether the command changes nothing, or nothing before DOIT_CONFIG's `at_start`, so that the store
            need not be writable when dodo.py is read.
        only_shows: whether the command makes and changes nothing.
        is_always: whether what is fresh is made again.
        is_draft: whether each video is to be its draft.
        waits: whether to wait for what another process makes, or for an accelerator that it has.
        screen: shows the nodes that run.
        say: shows a line of text before them.
    """

    overrides: Mapping[str, str]
    is_debug: bool = False
    is_read_only: bool = False
    only_shows: bool = False
    is_always: bool = False
    is_draft: bool = False
    waits: bool = True
    screen: Screen = field(default_factory=LazyScreen)
    say: Callable[[str], None] = print


_NOT_IN_PROJECT = (
    "note: these are doit's own commands, because doit reads its settings in the current folder alone. They remember "
    "nothing that `ignore` is told. Run doit in the folder of dodo.py for those of this project; where that has no "
    "doit.cfg, `python -m stages.new --update .` writes it."
)
_CURRENT: ContextVar[Invocation] = ContextVar("_CURRENT")


@contextmanager
def invoking(invocation: Invocation) -> Iterator[None]:
    """Make an invocation the current one until the block ends."""
    token = _CURRENT.set(invocation)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_invocation() -> Invocation:
    """The invocation by which dodo.py is loaded.

    Where doit has not read its settings (`doit -f elsewhere/dodo.py`), doit's own commands run: of theirs only the
    overrides are known, and a note on stderr says so.

    Raises:
        ParamsError: an override has no name.
    """
    invocation = _CURRENT.get(None)
    if invocation is None:
        invocation = Invocation(read_overrides())
        end_when_nobody_reads()
        print(_NOT_IN_PROJECT, file=sys.stderr)
    return invocation


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End doit with one message and exit code 1 when the block raises a StagesError or is interrupted."""
    try:
        yield
    except StagesError as error:
        if _is_debug():
            traceback.print_exc()
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted. Nothing had been started.")


def as_task_action(action: Callable[..., None]) -> Callable[..., TaskFailed | None]:
    """An action of a task whose StagesErrors are failures of the task: one message, with --debug the traceback too."""
    is_debug = _is_debug()  # here, because an action may run in another thread, which has no invocation

    @functools.wraps(action)
    def run(*arguments: object) -> TaskFailed | None:
        try:
            action(*arguments)
        except StagesError as error:
            if is_debug:
                traceback.print_exc()
            return TaskFailed(str(error))
        return None

    return run


def _is_debug() -> bool:
    invocation = _CURRENT.get(None)
    return invocation is not None and invocation.is_debug
