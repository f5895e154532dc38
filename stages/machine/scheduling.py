"""How the system schedules the threads of this process, kept as it is where a library changes it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def keeping_schedule() -> Iterator[None]:
    """Undo in the end what the block has done to the scheduling of this process: all of its threads get this one's.

    SVT-AV1 gives itself the highest real-time priority where it runs as root, as in a container. All else on the
    machine would wait for it. Where the system has no such priorities, this does nothing.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in _THREADS.iterdir() if _THREADS.is_dir() else ():
            with suppress(OSError):  # it has ended
                if os.sched_getscheduler(int(thread.name)) != policy:
                    os.sched_setscheduler(int(thread.name), policy, parameters)
