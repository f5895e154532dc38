"""A real denoise, in a run of doit of its own, that a test disturbs in the middle."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interrupts import interruptible_children
from tests.project import environment

_WAIT_S = 180  # far above what a first step takes
# Nothing is made after it, so no process for that is started ahead.
_ALONE = "machine.start_ahead=never"


@contextmanager
def denoising(root: Path, *arguments: str, sign: Callable[[], object]) -> Iterator[subprocess.Popen[str]]:
    """A run with these arguments, from when `sign` gives something else than before it; it is killed at the end."""
    before = sign()
    with interruptible_children():
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "doit", *arguments, _ALONE],
            cwd=root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        deadline = time.monotonic() + _WAIT_S
        while sign() == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
        process.kill()
