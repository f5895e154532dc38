"""Processes of the stages: started when needed or just before, kept for the next job, ended for another's device.

The parent's half; program.py is the child's. Loads nothing heavy. May be called from several threads: `doit -n 4`.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO

from stages.errors import StageError
from stages.pipeline.stage import Program
from stages.run.job import ACCEPTED, JOINING, PEAK_UNIT, Job
from stages.run.memory import advise, is_exhaustion
from stages.run.runner import Event

LOGS = "logs"  # the folder in a store
_MEMORY_RAN_OUT = ", perhaps because memory ran out"  # what ends a process by SIGKILL, besides people
_MAX_QUOTED = 300  # characters of what a process printed, in a message
_PATIENCE_S = 10.0  # for a process that was asked to end; then it is killed
_PATIENCE_TO_SAVE_S = 5.0  # for one that was asked to end in the middle of a job, which it may save first
# With other hosts all end together, and perhaps one still writes; they wait for 100 s (host_protocol.py).
_PATIENCE_WITH_HOSTS_S = 120.0


class Workers:
    """At most one process per program, and one per device."""

    def __init__(self, root: Path, logs: Path) -> None:
        """`root` is the processes' working folder, `logs` takes what they print."""
        self._root = root
        self._logs = logs
        self._running: dict[Program, _Worker] = {}
        self._turns: dict[str, Turns] = {}  # by device
        self._lock = threading.Lock()

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        """Do one job and return the event that ended it; `observe` sees those before.

        Waits while another thread's job has the device.

        Args:
            job: what to do.
            observe: called with each event.
            ahead: a program that will probably be needed next. Its process is started meanwhile: it imports its
                libraries and waits for a job, without a device.

        Raises:
            StageError: the stage failed, or its process ended or could not be started.
        """
        with self._lock:  # of several threads all must get the same turns
            turns = self._turns.setdefault(job.program.device, Turns())
        with turns.take(job.rank):
            observe({"event": "phase", "name": "starting"})
            worker = self._accept(job, observe, ahead)
            try:
                ending = worker.finish(job, observe)
            except BaseException:  # it has ended, or is in the middle of something that nobody waits for any more
                self._discard(worker)
                raise
        if ending["event"] == "error":
            error = StageError(worker.explain(ending))
            error.add_note(str(ending["traceback"]))
            raise error
        return ending

    def _accept(self, job: Job, observe: Callable[[Event], None], ahead: Program | None) -> "_Worker":
        """The process that has taken the job: one that waited for it, or a new one."""
        waiting = self._running.get(job.program)
        worker = self._worker(job)
        try:
            if ahead is not None:
                with suppress(OSError):  # when it is its turn it is tried again, and reported
                    self._start(ahead)
            if worker.accept(job):
                return worker
            if worker is not waiting:
                raise worker.died(job)
        except BaseException:
            self._discard(worker)
            raise
        how = worker.how_it_ended()
        self._discard(worker)
        observe({"event": "warning", "message": f"a process that waited for it {how}; another one is started."})
        return self._accept(job, observe, None)

    def _discard(self, worker: "_Worker") -> None:
        """End a process that no job will be given to any more."""
        with self._lock:
            if self._running.get(worker.program) is worker:
                del self._running[worker.program]
        worker.leave()
        worker.wait()

    def _worker(self, job: Job) -> "_Worker":
        """The process of a job's program, started if need be, when others of its device have ended."""
        program = job.program
        leaving = [
            self._running.pop(other)
            for other, worker in [*self._running.items()]
            if other != program and other.device == program.device and worker.has_device
        ]
        for worker in leaving:
            worker.leave()
        try:
            return self._start(program)
        except OSError as refusal:
            raise StageError(
                f"{job.node.title}: its process cannot be started ({refusal}). Look for room for its log, in "
                f"{self._logs}, for memory, and for the number of processes that you may have."
            ) from refusal
        finally:
            for worker in leaving:  # while the new process imports its libraries
                worker.wait()

    def _start(self, program: Program) -> "_Worker":
        """The program's process, started if there is none."""
        with self._lock:  # another thread may want it at the same time
            if program not in self._running:
                self._running[program] = _Worker(program, self._root, self._logs)
            return self._running[program]

    @property
    def process_ids(self) -> dict[str, int]:
        """Process id of each program that is running or waits for a job, by its name."""
        return {program.name: worker.process_id for program, worker in self._running.items()}

    def close(self) -> None:
        """End all processes, and wait until they have ended. One in the middle of a job may save it first."""
        ending = []
        while self._running:
            ending.append(self._running.popitem()[1])
        for worker in ending:
            worker.leave()
        for worker in ending:
            worker.wait()


class Turns:
    """Who may use a device: one job at a time, of those that wait the earliest stage's first.

    Otherwise a model would leave for one job of a later stage and come back for the next of its own.
    """

    def __init__(self) -> None:
        """Nobody has it."""
        self._changed = threading.Condition()
        self._waiting: list[int] = []
        self._is_taken = False

    @property
    def num_waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @contextmanager
    def take(self, rank: int) -> Iterator[None]:
        """Wait for a turn; a lower `rank` goes first."""
        with self._changed:
            self._waiting.append(rank)
            self._changed.wait_for(lambda: not self._is_taken and rank == min(self._waiting))
            self._waiting.remove(rank)
            self._is_taken = True
        try:
            yield
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()


class _Worker:
    """One process of one program."""

    def __init__(self, program: Program, root: Path, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        # the host, because two that share a store can have equal process ids
        name = f"{program.name}-{datetime.now():%Y%m%d-%H%M%S}-{socket.gethostname()}-{os.getpid()}"
        self._log = _find_free(logs, name)
        lifeline, self._lifeline = _pipe_to_child()
        self._events, events = _pipe_from_child()
        options = ["--events-fd", str(events.fileno()), "--parent-fd", str(lifeline.fileno())]
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
        self.is_busy = False
        self.program = program
        self.has_device = False  # before its first job it has only imported its libraries

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
        return self._next_event() == {"event": ACCEPTED}

    def finish(self, job: Job, observe: Callable[[Event], None]) -> Event:
        """The event that ends an accepted job, a result or an error. Raises StageError when the process ends."""
        while (event := self._next_event()) is not None:
            if event["event"] in ("result", "error"):
                self.is_busy = False
                return event
            if event["event"] == JOINING:
                self._depends_on_hosts = True
            else:
                observe(event)
        raise self.died(job)

    def _next_event(self) -> Event | None:
        """None when the process has ended."""
        line = self._events.readline()
        return json.loads(line) if line.endswith("\n") else None

    def leave(self) -> None:
        """Let the process end by ending its stdin. One in the middle of a job is asked by a signal: it may save it."""
        if self.is_busy:
            self._process.terminate()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # a job that was never read is still in the buffer
            self._process.stdin.close()

    def wait(self) -> None:
        """Wait until a process that was asked to leave has ended; after some time it is killed. May be called again."""
        patience_s = _PATIENCE_WITH_HOSTS_S if self._depends_on_hosts else _PATIENCE_S
        try:
            self._process.wait(_PATIENCE_TO_SAVE_S if self.is_busy else patience_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._process.kill()
            self._process.wait()
            self._close_pipes()

    def _close_pipes(self) -> None:
        self._events.close()
        self._lifeline.close()

    def explain(self, event: Event) -> str:
        """The message of an error event."""
        if event["kind"]:
            return f"{event['kind']}: {event['message']}"
        return f"{event['message']}\n  This is a fault of the program. Where it happened: {self._log}"

    def died(self, job: Job) -> StageError:
        """The error that the process has ended and had a job to do."""
        how = self.how_it_ended()
        advice = ""
        if _MEMORY_RAN_OUT in how or is_exhaustion(how):
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * PEAK_UNIT
            advice = f" {advise(job, '', peak)}"
        return StageError(f"{job.node.title}: its process {how}.{advice} What it printed: {self._log}")

    def how_it_ended(self) -> str:
        """What follows "its process", without a full stop."""
        code = self._process.wait()
        printed = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(printed) if line.strip()), "nothing was printed")[:_MAX_QUOTED]
        if code >= 0:
            return f"ended with exit code {code} ({last})"  # Python's last line is the exception
        name = signal.Signals(-code).name
        if name == "SIGABRT" and self._depends_on_hosts:
            return (
                f"was ended by {name}, as JAX does when another host has ended, cannot be reached or was never started "
                "(docs/many-hosts.md)"
            )
        if name == "SIGABRT":  # of C++, which has printed why
            return f"was ended by {name} ({last})"
        return f"was ended by {name}{_MEMORY_RAN_OUT if name == 'SIGKILL' else ''}"


def _find_free(folder: Path, name: str) -> Path:
    """A log that is not there yet: a process that replaces another one can be started in the same second."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(path for path in (folder / f"{each}.log" for each in names) if not path.exists())


def _pipe_to_child() -> tuple[IO[bytes], IO[bytes]]:
    """Both ends, the child's first."""
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")


def _pipe_from_child() -> tuple[IO[str], IO[bytes]]:
    """Both ends, the child's last."""
    reader, writer = os.pipe()
    return os.fdopen(reader, encoding="utf-8"), os.fdopen(writer, "wb")
