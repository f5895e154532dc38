"""What starts jobs: the protocol that a build depends on, and the events of a job."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

from stages.keys import JsonValue, Node
from stages.machine.binary_units import MIB
from stages.pipeline.stage import Program
from stages.run.job import Job

Event: TypeAlias = Mapping[str, JsonValue]
STARTING: Final = "starting"  # the phase that begins when a job has its turn


def progress_in_mib(done_bytes: int, total_bytes: int) -> Event:
    """The event that says how many bytes of how many have passed."""
    return {"event": "progress", "done": -(-done_bytes // MIB), "total": -(-total_bytes // MIB), "unit": "MiB"}


@runtime_checkable
class Runner(Protocol):
    """Does jobs, one or several at a time: `worker.Workers` in processes of this machine, `Fleet` on a cluster."""

    def prepare(self) -> None:
        """Find out whether jobs can be done, before the first. Raises StagesError: none can be."""

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:
        """Do a job and return the event that ended it; `observe` sees those before. `ahead` may be started meanwhile.

        Raises:
            StageError: there is no result; the store is as before.
        """

    def stop(self, node: Node, *, at_once: bool) -> None:
        """End what makes a node, if something does; unless `at_once`, it may save first. Its `run` then raises."""

    def is_stopped(self, program: Program) -> bool:
        """Whether what does the program's jobs stands still, and may go on at any time, as after SIGSTOP."""

    def give_up_devices(self) -> None:
        """Let others have the accelerators that are kept for a next job, unless one is being done."""

    def close(self) -> Sequence[Node]:
        """End all that was started for jobs; the nodes of those jobs that were in the middle then, or before."""
