"""What is made once in a run of the tests, also where pytest-xdist runs them in several processes."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled in whichever process comes first; the others wait for it, then read it.

    What it makes must not be changed by a test.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # a worker's folder is below that of the run
    folder, is_whole = shared / name, shared / f"{name}.whole"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed: this one says why, too
            folder.mkdir()
            make(folder)
            is_whole.touch()
    return folder
