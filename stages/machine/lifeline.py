"""A process that works for another one ends with it, however that one ends.

    python -m stages.machine.lifeline --parent-fd N MODULE ARGUMENT...

runs a module that knows nothing of this. Imports nothing that takes time: the first of it is needed before all else is
imported.
"""

import fcntl
import os
import re
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

PARENT_OPTION = "--parent-fd"  # of a command line: the descriptor of a lifeline
_DESCRIPTOR_OPTION = re.compile(r"--\w+-fd")
_FAILURE = 1


def end_now() -> None:
    """End this process as one that has failed: in the middle of a computation nothing gentler is heard."""
    os._exit(_FAILURE)


class Lifeline:
    """A pipe that nobody writes to, and whose other end doit has: it breaks when doit ends, however it ends.

    (Linux can tie a process to the thread of its parent that started it, by `prctl`; with `doit -n 4` that thread may
    end long before doit does.)
    """

    def __init__(self, descriptor: int) -> None:
        """End this process at once when the pipe breaks, also while it imports; see `call_instead`."""
        self._descriptor = descriptor
        self._on_break: Callable[[], None] = end_now
        if hasattr(fcntl, "F_SETSIG"):  # of Linux: a signal needs no lock of Python's, which a library that is loaded
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())  # may hold for a second; elsewhere the thread waits
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGTERM)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
        threading.Thread(target=self._wait, daemon=True).start()
        if self.is_broken:  # since before the kernel was asked, and the thread may have to wait for the lock
            end_now()

    def call_instead(self, on_break: Callable[[], None]) -> None:
        """Call this, in another thread, when the pipe breaks. The kernel's signal, SIGTERM, comes all the same."""
        self._on_break = on_break

    @property
    def is_broken(self) -> bool:
        """Whether doit has ended."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _wait(self) -> None:
        os.read(self._descriptor, 1)
        self._on_break()


def find_lifeline(arguments: Sequence[str]) -> Lifeline | None:
    """The lifeline whose descriptor a command line names, or None where it names none."""
    values = [value for option, value in pairwise(arguments) if option == PARENT_OPTION]
    return Lifeline(int(values[0])) if values else None


def keep_from_children(arguments: Iterable[str]) -> None:
    """Keep what a command line's options `--*-fd` name from the processes that this one will start.

    While a process of a library has the writing end of a pipe, its reader does not see that this process has ended.
    """
    for option, value in pairwise(arguments):
        if _DESCRIPTOR_OPTION.fullmatch(option) and value.isdecimal():
            with suppress(OSError):  # it is not open, which whoever uses it will say
                os.set_inheritable(int(value), False)


def run_module(
    module: str, *arguments: str, cwd: Path | None = None, timeout_s: int | float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module as a program that ends when this process does, with what it prints on stdout and stderr.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    reader, writer = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 (no shell)
            [sys.executable, "-m", __spec__.name, PARENT_OPTION, str(reader), module, *arguments],
            pass_fds=[reader],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    finally:
        os.close(reader)
        os.close(writer)


@contextmanager
def start_elsewhere(
    module: str, *arguments: str, cwd: Path, environment: Mapping[str, str], stdout: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module as a program that ends when this process does; the block ends when the program has.

    Ctrl-C reaches this process alone: while a program is being imported, each would print where it was.

    Args:
        module: found by the PYTHONPATH of `environment`, which may lead to another `stages`; neither `cwd` nor the
            folder of this file is searched.
        arguments: of it.
        cwd: its folder.
        environment: all of its variables.
        stdout: a descriptor; stderr is this process's, and stdin is empty.
    Raises:
        OSError: it cannot be started.
    """
    reader, writer = os.pipe()
    try:
        with subprocess.Popen(  # noqa: S603 (no shell)
            [sys.executable, "-P", __file__, PARENT_OPTION, str(reader), module, *arguments],
            pass_fds=[reader],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            start_new_session=True,
        ) as process:
            yield process
    finally:
        os.close(reader)
        os.close(writer)


if __name__ == "__main__":
    lifeline = find_lifeline(sys.argv)
    keep_from_children(sys.argv)
    module, *sys.argv[1:] = sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
