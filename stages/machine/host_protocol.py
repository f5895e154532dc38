"""The hosts of one machine of many chips: each runs `doit`, and their processes of a stage join and go in step.

Owns how they make sure that all do the same before any waits for the others in a
computation, where nobody can be told anything any more. docs/decisions/0018-many-hosts.md says why. How they find each
other is said in host_discovery.py.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import jax
from jax._src import distributed  # the public jax.distributed has no way to ask it for anything

from stages.errors import MeshError, StageError
from stages.machine.host_discovery import PAGE, Place

_BEGIN_S = 300  # hosts are started together; JAX's own patience
_READY_S = 3600  # a host that has begun gets ready or fails or dies, and is heard of; loading can take long
_HEARTBEAT_S = 60  # a host that was not heard of for so long is dead, and JAX ends the processes of the others
_LEAVE_S = 100  # a process that leaves waits for others that still write; less than the patience of worker.py
_BEGIN, _COMPUTE = "begin", "compute"  # the points of a job at which hosts wait for each other
_NO_FACTS = "{}"  # of a host that begins nothing


class Hosts:
    """This process among those of the same stage on the other hosts. Where there are none, nothing is waited for.

    A note is left under the number of its job, so that hosts stay in step when one has failed at a job before the
    others heard of it.
    """

    def __init__(self, index: int = 0, count: int = 1, *, patience_s: int = _BEGIN_S) -> None:
        """The processes have joined before.

        Args:
            index: of this process, from 0.
            count: of all processes.
            patience_s: seconds that they wait for each other to begin a job.
        """
        self.index = index
        self.count = count
        self._patience_s = patience_s
        self._first = self._present = 0  # numbers of jobs

    @contextmanager
    def preparing(self, title: str, number: int, find_facts: Callable[[], Mapping[str, str]]) -> Iterator[None]:
        """Begin a job when all hosts begin the same one; what follows the block begins when all have passed it.

        An error in the block is told to the others: after it, they would wait for this host in the computation. This
        host waits until they have heard, because JAX ends their processes soon after this one's.

        Args:
            title: of the job, for messages.
            number: of the job among those of this process, counting those that failed before they came here. The first
                is the one in which the hosts have joined.
            find_facts: tells what must be the same on all hosts, by names that people know.
        Raises:
            StageError: the hosts are about to do different things, or another one does not come, or has failed.
        """
        self._count_to(number)
        notes: list[str] = []  # of all hosts; then each of them leaves another one
        try:
            self._tell(_BEGIN, json.dumps(dict(find_facts())))
            notes = self._hear(_BEGIN, title, within_s=self._patience_s)
            _require_same(title, [json.loads(note) for note in notes])
            _require_no_fault(title, self._faults_so_far())
            yield
        except BaseException as error:
            self._give_up(f"{type(error).__name__}: {error}")
            if notes and isinstance(error, Exception):
                with suppress(StageError):
                    self._hear(_COMPUTE, title, within_s=_READY_S)
            raise
        self._tell(_COMPUTE, "")
        _require_no_fault(title, dict(enumerate(self._hear(_COMPUTE, title, within_s=_READY_S))))

    def require_work(self, devices: Iterable[jax.Device], *, max_devices: int) -> None:
        """Raise MeshError when a host has none of the devices that are to compute: it cannot take part.

        Args:
            devices: of the mesh.
            max_devices: as many as any mesh for this job can have.
        """
        idle = set(range(self.count)) - {device.process_index for device in devices}
        if idle:
            raise MeshError(
                f"hosts {sorted(idle)} of {self.count} have no device in the mesh. Set machine.mesh in "
                "params/machine.toml to a layout of all devices; where there are more than can compute this together, "
                f"which is {max_devices}, use a smaller slice."
            )

    def _count_to(self, number: int) -> None:
        """Go on to a job; the others are told that this host has failed at those in between."""
        self._first = self._first or number
        while 0 < self._present < number - 1:
            self._present += 1
            self._give_up("it failed before it could begin, and said there why")
        self._present = number

    def _give_up(self, fault: str) -> None:
        """Tell those that wait for this host, and those that come later, why it will not take part."""
        self._tell(_COMPUTE, fault)
        with suppress(jax.errors.JaxRuntimeError):  # it has said that it begins
            self._tell(_BEGIN, _NO_FACTS)

    def _tell(self, point: str, note: str) -> None:
        """Leave a note for the others at a point of the present job. There can be one."""
        if self.count > 1:
            _client().key_value_set(f"{self._folder(point)}{self.index}", note)

    def _hear(self, point: str, title: str, *, within_s: int) -> list[str]:
        """The notes of all hosts, when all have come. Raises StageError when one does not come."""
        return [self._hear_one(host, point, title, within_s) for host in range(self.count if self.count > 1 else 0)]

    def _hear_one(self, host: int, point: str, title: str, within_s: int) -> str:
        try:
            note: str = _client().blocking_key_value_get(f"{self._folder(point)}{host}", within_s * 1000)
        except jax.errors.JaxRuntimeError as error:
            raise StageError(
                f"{title}: host {host} of {self.count} did not come to {point} it within {within_s} s ({error}). "
                f"Run `doit` on each host with the same parameters; where host {host} has the result already, and "
                f"this one has not, copy it or `doit forget` it there ({PAGE})."
            ) from error
        return note

    def _faults_so_far(self) -> dict[int, str]:
        """What hosts that cannot take part in the present job have said, by host; nobody is waited for."""
        notes = _client().key_value_dir_get(self._folder(_COMPUTE)) if self.count > 1 else []
        return {int(name.rpartition("/")[2]): fault for name, fault in notes}

    def _folder(self, point: str) -> str:
        """Of the notes of the present job; its number counts from the job in which the hosts have joined."""
        return f"hunyuan-stages/{self._present - self._first}/{point}/"


def join(place: Place, *, heartbeat_s: int = _HEARTBEAT_S, join_s: int = _BEGIN_S) -> Hosts:
    """Join the other hosts, and wait until all have joined. Call it before anything asks JAX for a device.

    JAX ends this process (SIGABRT) when the others do not join in time, and later when one of them is not heard of any
    more: nothing gentler ends a computation that waits for a host.

    Args:
        place: of this host.
        heartbeat_s: seconds after which a host that is not heard of counts as dead, at least 10.
        join_s: seconds that the others have to join.
    Returns:
        This process among those that have joined.
    Raises:
        MeshError: the port of host 0 is in use.
    """
    if place.index == 0:
        _require_free(place.port)
    print(
        f"joining {place.count} hosts at {place.address}:{place.port} as host {place.index}",
        file=sys.stderr,
        flush=True,
    )
    jax.distributed.initialize(
        f"{place.address}:{place.port}",
        place.count,
        place.index,
        cluster_detection_method="deactivate",
        initialization_timeout=join_s,
        heartbeat_timeout_seconds=heartbeat_s,
        shutdown_timeout_seconds=_LEAVE_S,
    )
    return Hosts(place.index, place.count)


def _require_free(port: int) -> None:
    """Raise MeshError when another process has the port: JAX would crash."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise MeshError(
            f"host 0 cannot listen on port {port} ({reason}). End what uses it, or name another port in "
            f"machine.hosts ({PAGE})."
        ) from error


def _require_same(title: str, facts: list[dict[str, str]]) -> None:
    """Raise StageError unless all hosts that begin have the same facts; names those that differ and who has which."""
    known = {host: theirs for host, theirs in enumerate(facts) if theirs}
    first = next(iter(known), 0)
    faults = [
        f"{name}: {known[first].get(name)} on host {first}, {theirs[name]} on host {host}"
        for host, theirs in known.items()
        for name in theirs
        if theirs[name] != known[first].get(name)
    ]
    if faults:
        raise StageError(
            "\n  ".join([f"{title}: the hosts are not about to do the same:", *faults])
            + "\n  Run `doit` on each host with the same code, parameters and checkpoint, and with equal artifacts "
            f"({PAGE})."
        )


def _require_no_fault(title: str, faults: Mapping[int, str]) -> None:
    """Raise StageError when a host has a fault; "" is none."""
    for host, fault in faults.items():
        if fault:
            raise StageError(f"{title}: host {host} cannot take part. It says: {fault}")


def _client() -> Any:
    """JAX's store of small notes, which host 0 keeps."""
    return distributed.global_state.client
