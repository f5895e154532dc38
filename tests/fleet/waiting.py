"""Waiting for states, however long a busy machine takes."""

import time
from collections.abc import Callable

WAIT_S = 300  # for anything


def wait_for(state: Callable[[], object]) -> None:
    """Wait until there is something."""
    deadline = time.monotonic() + WAIT_S
    while not state():
        assert time.monotonic() < deadline, "nothing has come"
        time.sleep(0.1)
