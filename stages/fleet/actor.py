"""An actor of the fleet: on its host it has a process of one program, gives it job after job and passes events on.

It holds no model: that is in the program's process, the same as on one machine (stages/run/worker.py), which ends with
the actor and saves its job before. What goes through Ray is lines of text; artifacts never do.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeAlias

from stages.errors import BeingCollectedError, EndedError, FleetError, RemoteError, StageError, StagesError
from stages.fleet.errand import ENDED, FAILED, Errand
from stages.fleet.own_store import OwnStore
from stages.keys import Node
from stages.machine.printable import printable
from stages.run.fingerprint import fingerprint
from stages.run.job import Job
from stages.run.runner import Event
from stages.run.worker import Workers
from stages.store.layout import LOGS
from stages.store.leases import Leases
from stages.store.stat_cache import StatCache

_NO_CODE: Final = Path("/")  # the folder in which processes start, and which Python searches first: code has travelled
# Between attempts to hand a result over that may have taken minutes of chips.
_PAUSES_S: Final = (5.0, 10.0, 20.0, 40.0, *[60.0] * 10)
_Told: TypeAlias = Event | Exception | None  # None: there is nothing more


class StageActor:
    """Does the jobs of one program on the host of a cluster where Ray has placed it."""

    def __init__(self, package: str) -> None:
        """`package` is that of the program; nothing of it is imported here."""
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's: the number of CPUs that it counts, often 1
        self._package = package
        self._host = printable(socket.gethostname())
        self._workers: Workers | None = None
        self._own: OwnStore | None = None
        self._node: Node | None = None
        self._doing: threading.Thread | None = None
        self._stopped = threading.Event()  # what is being done is to end
        self._since = time.monotonic()
        self._num_done = 0

    def greet(self) -> str:
        """The host's name, a port that is free there, and the fingerprint of the program's code as it is here."""
        code = fingerprint(self._package, StatCache(Path(os.devnull)))
        with socket.create_server(("", 0)) as server:
            port: int = server.getsockname()[1]
        return json.dumps({"host": self._host, "port": port, "code": code})

    def describe(self) -> str:
        """What it does at present: the title of a node, "" for nothing, and since how many seconds."""
        title = self._node.title if self._node else ""
        since_s = time.monotonic() - self._since
        return json.dumps({"host": self._host, "node": title, "since_s": since_s, "num_done": self._num_done})

    def run(self, line: str) -> Iterator[str]:
        """Do an errand; events, each as a line, and the last is how it ended: "result", FAILED or ENDED."""
        told = SimpleQueue[_Told]()
        self._stopped.clear()
        self._doing = threading.Thread(target=self._run, args=[line, told], daemon=True)
        self._doing.start()
        while (event := told.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield json.dumps(event)

    def stop(self, *, at_once: bool) -> None:
        """End what is being made; unless `at_once`, it may be saved first."""
        self._stopped.set()
        if self._workers is not None and self._node is not None:
            self._workers.stop(self._node, at_once=at_once)

    def close(self) -> None:
        """End the program's process, which may save its job, and wait until others can go on from that."""
        self._stopped.set()
        if self._workers is not None:
            self._workers.close()
        if self._doing is not None:
            self._doing.join()

    def _run(self, line: str, told: "SimpleQueue[_Told]") -> None:
        try:
            told.put(self._try(Errand.from_json(line), told))
        except Exception as error:
            told.put(error)
        finally:
            self._node, self._since = None, time.monotonic()
            told.put(None)

    def _try(self, errand: Errand, told: "SimpleQueue[_Told]") -> Event:
        job = errand.job_here()
        self._node, self._since = job.node, time.monotonic()
        try:
            ending = self._do(errand, job, told)
        except EndedError as error:
            return {"event": ENDED, "message": f"{error} (on {self._host})"}
        except StagesError as error:
            name = "" if isinstance(error, StageError) else f"{type(error).__name__}: "
            notes = "\n".join(getattr(error, "__notes__", ()))
            return {"event": FAILED, "message": f"{name}{error}\n  It ran on {self._host}.", "traceback": notes}
        self._num_done += 1
        return ending

    def _do(self, errand: Errand, job: Job, told: "SimpleQueue[_Told]") -> Event:
        if not errand.remote:
            if Leases(job.store).find_holder(job.node.artifact) is None:  # which the driver has written
                raise FleetError(
                    f"{self._host} does not see the store {job.store}. Let it be on a file system that all hosts "
                    "mount there, or share results by a remote store: `remote` in params/machine.toml (docs/fleet.md)."
                )
            return self._workers_of(job.store / LOGS).run(job, told.put)
        if self._own is None:
            self._own = OwnStore.open(self._package, errand.remote)
        with self._own.made_here(errand, job, told.put) as (own_job, deliver):
            if self._stopped.is_set():
                raise EndedError(f"{job.node.title}: was stopped before it began.")
            ending = self._workers_of(self._own.logs).run(own_job, lambda event: _tell(event, told))
            return {**ending, "entry": self._hand_over(job, deliver, told)} if errand.is_first else ending

    def _hand_over(self, job: Job, deliver: Callable[[], str], told: "SimpleQueue[_Told]") -> str:
        """Deliver a result, also to a remote store that is away for some minutes."""
        for pause_s in _PAUSES_S:
            try:
                return deliver()
            except (RemoteError, BeingCollectedError) as error:
                what = f"was made; handing over is tried again in {pause_s:.0f} s: {error}"
                told.put({"event": "phase", "name": what})
                if self._stopped.wait(pause_s):
                    break
        try:
            return deliver()
        except (RemoteError, BeingCollectedError) as error:
            raise StageError(f"{job.node.title}: was made, and cannot be handed over: {error}") from error

    def _workers_of(self, logs: Path) -> Workers:
        if self._workers is None:
            self._workers = Workers(_NO_CODE, logs)
        return self._workers


def _tell(event: Event, told: "SimpleQueue[_Told]") -> None:
    """Pass an event on, but for a preview: its file is on this host."""
    if event["event"] != "preview":
        told.put(event)
