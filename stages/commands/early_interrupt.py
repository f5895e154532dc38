"""Ctrl-C while doit still imports modules: one line in place of a traceback through whatever is being imported.

Imports nothing that takes time: it is loaded before all else of this project.
"""

import os
import signal
from types import FrameType
from typing import Final

INTERRUPTED: Final = "interrupted. Nothing had been started."
_STDERR, _FAILURE = 2, 1


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends this process, unless it is ignored or somebody handles it. In the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again. In the main thread."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    """An exception could be caught by a module that is being imported, and would be lost in a callback."""
    os.write(_STDERR, f"{INTERRUPTED}\n".encode())
    os._exit(_FAILURE)
