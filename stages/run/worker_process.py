"""One process of one program: how it is started, given jobs, listened to and ended. The parent's half of program.py."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from stages.errors import EndedError
from stages.keys import Node
from stages.machine.lifeline import PARENT_OPTION
from stages.models.wording import MAX_QUOTED
from stages.pipeline.stage import Program
from stages.run.job import PEAK_UNIT, Job
from stages.run.lifetime import SAVE_S
from stages.run.memory import advise, is_exhaustion
from stages.run.report import ACCEPTED, EVENTS_OPTION, HOLDING, JOINING
from stages.run.runner import Event
from stages.store.sharing import make_folder

_MEMORY_RAN_OUT = ", perhaps because memory ran out"  # what ends a process by SIGKILL, besides people
_PATIENCE_S = 10.0  # for a process that was asked to end; then it is killed. One that saves a job has SAVE_S
# With other hosts all end together, and perhaps one still writes; they wait for 100 s (host_protocol.py).
_PATIENCE_WITH_HOSTS_S = 120.0
_MAX_LOG_END_BYTES = 1 << 16  # of a log, in which its last line is looked for


class WorkerProcess:
    """One process of one program."""

    def __init__(self, program: Program, root: Path, logs: Path) -> None:
        make_folder(logs, logs.parent)
        # the host, because two that share a store can have equal process ids
        self._log = logs / f"{program.name}-{datetime.now():%Y%m%d-%H%M%S-%f}-{socket.gethostname()}-{os.getpid()}.log"
        lifeline, self._lifeline = _pipe_to_child()
        self._events, events = _pipe_from_child()
        options = [EVENTS_OPTION, str(events.fileno()), PARENT_OPTION, str(lifeline.fileno())]
        try:
            with lifeline, events, self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603 (our own module, no shell)
                    [sys.executable, "-m", "stages.run", program.package, *options],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[events.fileno(), lifeline.fileno()],
                    cwd=root,
                    start_new_session=True,  # Ctrl-C reaches doit alone, which then ends this process
                )
        except BaseException:
            self._close_pipes()
            raise
        self._depends_on_hosts = False
        self._peak_bytes: int | None = None  # the most memory that it had; None before it has ended, or if unknown
        self.is_busy = False
        self.node: Node | None = None  # of the job that it has taken, until that has ended
        self.program = program
        self.has_device = False  # before its first job it has only imported its libraries
        self.holds_devices = False  # accelerators, which other runs wait for

    @property
    def process_id(self) -> int:
        return self._process.pid

    def accept(self, job: Job) -> bool:
        """Pass a job on, and wait until the process has taken it. False when it has ended before."""
        assert self._process.stdin is not None
        self.has_device = self.is_busy = True
        with suppress(BrokenPipeError):  # it has ended; there will be no event
            self._process.stdin.write(job.to_json().encode() + b"\n")
            self._process.stdin.flush()
        if self._next_event() != {"event": ACCEPTED}:
            return False
        self.node = job.node
        return True

    def finish(self, job: Job, observe: Callable[[Event], None]) -> Event:
        """The event that ends an accepted job, a result or an error. Raises EndedError when the process ends."""
        while (event := self._next_event()) is not None:
            if event["event"] in ("result", "error"):
                self.is_busy, self.node = False, None
                return event
            if event["event"] == JOINING:
                self._depends_on_hosts = True
            elif event["event"] == HOLDING:
                self.holds_devices = True
            else:
                observe(event)
        raise self.died(job)

    def _next_event(self) -> Event | None:
        """None when the process has ended."""
        line = self._events.readline()
        return json.loads(line) if line.endswith("\n") else None

    def leave(self) -> None:
        """Let the process end by ending its stdin.

        One in the middle of a job is asked by a signal, and may save it. One that has had no job may still import its
        libraries for seconds before it looks at its stdin, and has nothing to lose.
        """
        if self.is_busy:
            self._process.terminate()
        elif not self.has_device:
            self._process.kill()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a job that was never read is still in the buffer
            self._process.stdin.close()

    def stop(self, *, at_once: bool) -> None:
        """Ask the process to end in the middle of its job, which it may save, or end it at once."""
        if at_once:
            self._process.kill()
        else:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until a process that was asked to leave has ended; after some time it is killed. May be called again."""
        patience_s = _PATIENCE_WITH_HOSTS_S if self._depends_on_hosts else _PATIENCE_S
        deadline = time.monotonic() + (SAVE_S if self.is_busy else patience_s)
        try:
            try:
                self._wait_until(deadline)
            except KeyboardInterrupt:  # what it saves must not be lost
                self._wait_until(deadline)
                raise
        finally:
            self._process.kill()
            self._process.wait()
            self._close_pipes()

    def _wait_until(self, deadline: float) -> None:
        """Wait until the process has ended, or the monotonic clock shows `deadline`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))

    def _close_pipes(self) -> None:
        self._events.close()
        self._lifeline.close()

    def explain(self, event: Event) -> str:
        """The message of an error event."""
        if event["kind"]:
            return f"{event['kind']}: {event['message']}"
        return f"{event['message']}\n  This is a fault of the program. Where it happened: {self._log}"

    def died(self, job: Job) -> EndedError:
        """The error that the process has ended and had a job to do."""
        how = self.how_it_ended()
        advice = f" {advise(job, '', self._peak_bytes)}" if _MEMORY_RAN_OUT in how or is_exhaustion(how) else ""
        return EndedError(f"{job.node.title}: its process {how}.{advice} What it printed: {self._log}")

    def how_it_ended(self) -> str:
        """What follows "its process", without a full stop."""
        code = self._reap()
        last = _last_line(self._log)
        if code >= 0:
            return f"ended with exit code {code} ({last})"  # Python's last line is the exception
        name = _name_signal(-code)
        if name == "SIGABRT" and self._depends_on_hosts:
            return (
                f"was ended by {name}, as JAX does when another host has ended, cannot be reached or was never started "
                "(docs/many-hosts.md)"
            )
        if name == "SIGABRT":  # of C++, which has printed why
            return f"was ended by {name} ({last})"
        return f"was ended by {name}{_MEMORY_RAN_OUT if name == 'SIGKILL' else ''}"

    def _reap(self) -> int:
        """Wait until the process has ended; its exit code, or minus the number of a signal. Notes its peak of memory.

        `subprocess` does not pass on what the kernel says of a single child.
        """
        if self._process.returncode is None:
            try:
                _, status, usage = os.wait4(self._process.pid, 0)
            except ChildProcessError:  # another thread has waited for it meanwhile
                return self._process.wait()
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._peak_bytes = usage.ru_maxrss * PEAK_UNIT
        return self._process.returncode


def _last_line(log: Path) -> str:
    """The last line of a log that is not empty, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _MAX_LOG_END_BYTES))
            lines = file.read(_MAX_LOG_END_BYTES).decode("utf-8", errors="replace").split("\n")
    except OSError as error:  # somebody has deleted it
        return f"its log cannot be read: {error.strerror}"
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was printed")[:MAX_QUOTED]


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _pipe_to_child() -> tuple[IO[bytes], IO[bytes]]:
    """Both ends, the child's first."""
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")


def _pipe_from_child() -> tuple[IO[str], IO[bytes]]:
    """Both ends, the child's last."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), os.fdopen(writer, "wb")
