"""Processes of the stages: started when needed or just before, kept for the next job, ended for another's device.

The parent's half; program.py is the child's. Loads nothing heavy. May be called from several threads: `doit -n 4`.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from stages.errors import StageError
from stages.keys import Node
from stages.pipeline.stage import Program
from stages.run.job import Job
from stages.run.runner import STARTING, Event
from stages.run.turns import Turns
from stages.run.worker_process import WorkerProcess

_STOPPED = ("T", "t")  # states of a process in /proc


class Workers:
    """At most one process per program, and one per device."""

    def __init__(self, root: Path, logs: Path) -> None:
        """`root` is the processes' working folder, `logs` takes what they print."""
        self._root = root
        self._logs = logs
        self._running: dict[Program, WorkerProcess] = {}
        self._turns: dict[str, Turns] = {}  # by device
        self._cut: dict[str, Node] = {}  # by title, those whose jobs ended in the middle
        self._stopped: set[str] = set()  # titles of nodes that were stopped, until their next job
        self._is_closed = False
        self._lock = threading.Lock()  # of these five

    def prepare(self) -> None:
        """Nothing: processes can be started whenever they are needed."""

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        """Do one job and return the event that ended it; `observe` sees those before.

        Waits while another thread's job has the device.

        Args:
            job: what to do.
            observe: called with each event.
            ahead: a program that will probably be needed next. Its process is started meanwhile: it imports its
                libraries and waits for a job, without a device.

        Raises:
            StageError: the stage failed, or its process could not be started.
            EndedError: its process has ended.
        """
        with self._lock:  # of several threads all must get the same turns
            turns = self._turns.setdefault(job.program.device, Turns())
            self._stopped.discard(job.node.title)
        with turns.take(job.rank, lambda: job.node.title in self._stopped) as has_turn:
            if not has_turn:
                raise StageError(f"{job.node.title}: was stopped before it had begun.")
            observe({"event": "phase", "name": STARTING})
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

    def stop(self, node: Node, *, at_once: bool) -> None:
        """End the process that makes a node, or its waiting for one; unless `at_once`, it may save its job first."""
        with self._lock:
            self._stopped.add(node.title)
            all_turns = [*self._turns.values()]
        for turns in all_turns:
            turns.look_again()
        for _, worker in self._find_running():
            if worker.node is not None and worker.node.artifact == node.artifact:
                worker.stop(at_once=at_once)

    def is_stopped(self, program: Program) -> bool:
        """Whether the program's process has been stopped, as by SIGSTOP; False where the system does not say."""
        worker = self._running.get(program)
        try:
            status = Path(f"/proc/{worker.process_id}/stat").read_text(encoding="utf-8") if worker else ""
        except OSError:
            return False
        return status.rpartition(")")[2].strip()[:1] in _STOPPED

    def give_up_devices(self) -> None:
        """End processes that have an accelerator and no job.

        Who waits for what another run makes must not keep from that run what it needs for it.
        """
        for program, worker in self._find_running():
            if worker.holds_devices and not worker.is_busy:
                with self._turns[program.device].take_if_free() as is_taken:
                    if is_taken:
                        self._discard(worker)

    def _accept(self, job: Job, observe: Callable[[Event], None], ahead: Program | None) -> WorkerProcess:
        """The process that has taken the job: one that waited for it, or a new one."""
        waiting = self._running.get(job.program)
        worker = self._worker(job)
        try:
            if ahead is not None:
                with suppress(OSError):  # when it is its turn it is tried again, and reported
                    self.start(ahead)
            if worker.accept(job):
                return worker
            if worker is not waiting:
                raise worker.died(job)
        except BaseException:
            self._discard(worker)
            raise
        how = worker.how_it_ended()
        self._discard(worker)
        self._require_open(job.program)
        observe({"event": "warning", "message": f"a process that waited for it {how}; another one is started."})
        return self._accept(job, observe, None)

    def _discard(self, worker: WorkerProcess) -> None:
        """End a process that no job will be given to any more."""
        self._take(worker)
        self._note_cut(worker)
        worker.leave()
        worker.wait()

    def _note_cut(self, worker: WorkerProcess) -> None:
        """Take note of the job that a process is doing, and which will not be finished."""
        node = worker.node
        if node is not None:
            with self._lock:
                self._cut[node.title] = node

    def _take(self, worker: WorkerProcess) -> bool:
        """Give a process no more jobs; False when that has been done before."""
        with self._lock:
            is_there = self._running.get(worker.program) is worker
            if is_there:
                del self._running[worker.program]
            return is_there

    def _find_running(self) -> list[tuple[Program, WorkerProcess]]:
        with self._lock:
            return [*self._running.items()]

    def _worker(self, job: Job) -> WorkerProcess:
        """The process of a job's program, started if need be, when others of its device have ended."""
        program = job.program
        leaving = [
            worker
            for other, worker in self._find_running()
            if other != program and other.device == program.device and worker.has_device and self._take(worker)
        ]
        for worker in leaving:
            worker.leave()
        try:
            return self.start(program)
        except OSError as refusal:
            raise StageError(
                f"{job.node.title}: its process cannot be started ({refusal}). Look for room for its log, in "
                f"{self._logs}, for memory, and for the number of processes that you may have."
            ) from refusal
        finally:
            for worker in leaving:  # while the new process imports its libraries
                worker.wait()

    def start(self, program: Program) -> WorkerProcess:
        """The program's process, started if there is none: it imports its libraries, and waits for a job.

        Raises:
            OSError: it cannot be started.
            StageError: all processes have been ended.
        """
        with self._lock:
            self._require_open(program)
            if program not in self._running:
                self._running[program] = WorkerProcess(program, self._root, self._logs)
            return self._running[program]

    def _require_open(self, program: Program) -> None:
        if self._is_closed:
            raise StageError(f"{program.name}: its process is not started, because this run is ending.")

    @property
    def process_ids(self) -> dict[str, int]:
        """Process id of each program that is running or waits for a job, by its name."""
        return {program.name: worker.process_id for program, worker in self._find_running()}

    def close(self) -> list[Node]:
        """End all processes, wait until they have ended, and start no more. One in the middle of a job may save it.

        Returns:
            The nodes of jobs that have ended in the middle, in this or an earlier call, or because a process died.
        """
        with self._lock:
            self._is_closed = True
            ending = [*self._running.values()]
            self._running.clear()
        for worker in ending:
            self._note_cut(worker)
            worker.leave()
        with ExitStack() as stack:  # whatever happens meanwhile
            for worker in ending:
                stack.callback(worker.wait)
        return [*self._cut.values()]
