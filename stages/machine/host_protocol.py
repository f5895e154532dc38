"""How the processes of one stage on all hosts of a slice join, and agree on each job before they compute it together.

A host that waits for others within a computation cannot be reached any more, so whatever can fail on a single host has
to be known to all before it. docs/decisions/0018-many-hosts.md says why. The states of a host, with the seconds that it
waits for the others in brackets:

                      idle
                        |  join: the processes of all hosts are there                   [300, then JAX ends this one]
    +-------------->  joined
    |                   |  a job begins: post its facts
    |               announced
    |                   |  agree: the facts of all hosts are equal, and none has withdrawn            [300]
    |               preparing
    |                   |  the job is loaded and compiled, and host 0 has said where it starts        [3600]
    |                   |  post that this host is ready
    |                 ready
    |                   |  all hosts are ready                                                        [3600]
    +--- done ----  computing

    announced, preparing -> withdrawn   on any error; it is posted for the others, raised here, and ends the job
    joined -> withdrawn                 for a job that failed before its facts could be posted; so jobs stay aligned
    ready -> joined                     another host has withdrawn; its error is raised here, too
    withdrawn -> joined                 at once, or, where all have announced, when all are ready or withdrawn:
                                        JAX ends the processes of the others soon after this one
    a host dies                         JAX ends the processes of the others, whatever their state  [60]
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

import jax

from stages.errors import MeshError, StageError
from stages.machine.host_discovery import PAGE, Place
from stages.machine.jax_internals import key_value_client

_JOIN_TIMEOUT_S = 300  # hosts are started together; JAX's own default
_BEGIN_TIMEOUT_S = 300
_READY_TIMEOUT_S = 3600  # loading can take long, and the others hear of a host that fails or dies meanwhile
_HEARTBEAT_TIMEOUT_S = 60
_SHUTDOWN_TIMEOUT_S = 100  # a process that leaves waits for others that still write; less than worker.py waits for it
_BEGIN, _READY = "begin", "ready"  # the two points of a job at which hosts wait for each other
_START = "start"  # what host 0 posts in between, in parts
_PART_BYTES = 1 << 20  # of a message; gRPC takes 4 MiB
_MISSED = MappingProxyType({
    _BEGIN: "did not begin this job",
    _START: "did not say where this job starts",
    _READY: "was not ready for this job",
})  # fmt: skip
_NO_FACTS, _NO_PARTS = "{}", "0"  # of a host that has withdrawn before it announced any


class Hosts:
    """This process among those of the same stage on the other hosts. A single host waits for nobody.

    Messages are posted under the number of their job, so that hosts stay aligned when a job has failed on one of them
    before the others heard of it.

    Attributes:
        index: of this process, from 0.
        count: of all processes.
    """

    def __init__(self, index: int = 0, count: int = 1, *, begin_timeout_s: int = _BEGIN_TIMEOUT_S) -> None:
        """The processes have joined before.

        Args:
            index: of this process, from 0.
            count: of all processes.
            begin_timeout_s: how long each waits for the others to begin a job.
        """
        self.index = index
        self.count = count
        self._begin_timeout_s = begin_timeout_s
        self._first_job = self._job = 0  # numbers

    @contextmanager
    def preparing(self, title: str, number: int, find_facts: Callable[[], Mapping[str, str]]) -> Iterator[None]:
        """Enter the block when all hosts begin the same job, and leave it when all have prepared it.

        An error in the block is posted for the others, which would wait for this host in the computation, and raised.

        Args:
            title: of the job, for messages.
            number: of the job among those of this process, counting those that failed before they came here. The first
                is the one in which the hosts have joined.
            find_facts: returns what must be equal on all hosts, by names that users know.
        Raises:
            StageError: the facts differ, or another host does not begin, or has withdrawn.
        """
        self._advance_to(number)
        have_all_begun = False
        try:
            self._post(_BEGIN, json.dumps(dict(find_facts())))
            facts = self._wait_for_all(_BEGIN, title, timeout_s=self._begin_timeout_s)
            have_all_begun = True
            _require_equal(title, [json.loads(text) for text in facts])
            _require_no_fault(title, self._faults_so_far())
            yield
        except BaseException as error:
            self._withdraw(f"{type(error).__name__}: {error}")
            if have_all_begun and isinstance(error, Exception):
                with suppress(StageError):
                    self._wait_for_all(_READY, title, timeout_s=_READY_TIMEOUT_S)
            raise
        self._post(_READY, "")
        faults = self._wait_for_all(_READY, title, timeout_s=_READY_TIMEOUT_S)
        _require_no_fault(title, dict(enumerate(faults)))

    def agree_on_start(self, start: bytes, title: str) -> bytes:
        """Host 0's `start` on all hosts, such as what was saved of the job. To be called in the block of `preparing`.

        Raises:
            StageError: host 0 does not say.
        """
        if self.count == 1:
            return start
        folder = self._folder(f"{_START}/part")
        if self.index == 0:
            parts = [start[first : first + _PART_BYTES] for first in range(0, len(start), _PART_BYTES)]
            for number, part in enumerate(parts):
                key_value_client().key_value_set_bytes(f"{folder}{number}", part)
            self._post(_START, str(len(parts)))
            return start
        num_parts = int(self._wait_for(0, _START, title, timeout_s=_READY_TIMEOUT_S))
        timeout_ms = _BEGIN_TIMEOUT_S * 1000  # they are there
        client = key_value_client()
        return b"".join(client.blocking_key_value_get_bytes(f"{folder}{n}", timeout_ms) for n in range(num_parts))

    def require_work(self, devices: Iterable[jax.Device], *, max_devices: int) -> None:
        """Raise MeshError when a host has none of the devices that are to compute: it could not take part.

        Args:
            devices: of the mesh.
            max_devices: the most that any mesh for this job can have.
        """
        idle = set(range(self.count)) - {device.process_index for device in devices}
        if idle:
            raise MeshError(
                f"hosts {sorted(idle)} of {self.count} have no device in the mesh. Set machine.mesh in "
                "params/machine.toml to a layout of all devices; where there are more than can compute this together, "
                f"which is {max_devices}, use a smaller slice."
            )

    def _advance_to(self, number: int) -> None:
        """Go on to a job. From those in between, which failed on this host before they came here, it withdraws."""
        self._first_job = self._first_job or number
        while 0 < self._job < number - 1:
            self._job += 1
            self._withdraw("the job failed on this host before it could begin, as its own message says")
        self._job = number

    def _withdraw(self, fault: str) -> None:
        """Post for the hosts that wait for this one, and those that come later, why it takes no part in the job."""
        self._post(_READY, fault)  # first: who finds that this host has begun looks for its fault
        for point, nothing in ((_BEGIN, _NO_FACTS), (_START, _NO_PARTS)):
            with suppress(jax.errors.JaxRuntimeError):  # it has posted that before
                self._post(point, nothing)

    def _post(self, point: str, text: str) -> None:
        """Post this host's message at a point of the present job. There can be one."""
        if self.count > 1:
            key_value_client().key_value_set(f"{self._folder(point)}{self.index}", text)

    def _wait_for_all(self, point: str, title: str, *, timeout_s: int) -> list[str]:
        """The messages of all hosts at a point, in their order. Raises StageError when one does not come in time."""
        hosts = range(self.count if self.count > 1 else 0)
        return [self._wait_for(host, point, title, timeout_s=timeout_s) for host in hosts]

    def _wait_for(self, host: int, point: str, title: str, *, timeout_s: int) -> str:
        try:
            text: str = key_value_client().blocking_key_value_get(f"{self._folder(point)}{host}", timeout_s * 1000)
        except jax.errors.JaxRuntimeError as error:
            raise StageError(
                f"{title}: host {host} of {self.count} {_MISSED[point]} within {timeout_s} s ({error}). "
                f"Run `doit` on each host with the same parameters; where host {host} has the result already, and "
                f"this one has not, copy it or `doit forget` it there ({PAGE})."
            ) from error
        return text

    def _faults_so_far(self) -> dict[int, str]:
        """The faults of hosts that have withdrawn from the present job, by host, without waiting for any."""
        posted = key_value_client().key_value_dir_get(self._folder(_READY)) if self.count > 1 else []
        return {int(name.rpartition("/")[2]): fault for name, fault in posted}

    def _folder(self, point: str) -> str:
        """Of the messages of the present job, which is counted from the job in which the hosts have joined."""
        return f"hunyuan-stages/{self._job - self._first_job}/{point}/"


def join(
    place: Place, *, heartbeat_timeout_s: int = _HEARTBEAT_TIMEOUT_S, join_timeout_s: int = _JOIN_TIMEOUT_S
) -> Hosts:
    """Join the other hosts, and wait until all have joined. Call it before anything asks JAX for a device.

    JAX ends this process (SIGABRT) when the others do not join in time, and later when one of them is not heard of any
    more: nothing gentler ends a computation that waits for a host.

    Args:
        place: of this host.
        heartbeat_timeout_s: a host that is not heard of for so long counts as dead; at least 10.
        join_timeout_s: how long to wait for the others.
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
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM, which then ends nothing
    jax.distributed.initialize(
        f"{place.address}:{place.port}",
        place.count,
        place.index,
        cluster_detection_method="deactivate",
        initialization_timeout=join_timeout_s,
        heartbeat_timeout_seconds=heartbeat_timeout_s,
        shutdown_timeout_seconds=_SHUTDOWN_TIMEOUT_S,
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


def _require_equal(title: str, facts: list[dict[str, str]]) -> None:
    """Raise StageError unless all hosts that begin have equal facts; name those that differ, and who has which."""
    announced = {host: theirs for host, theirs in enumerate(facts) if theirs}
    first = next(iter(announced), 0)
    faults = [
        f"{name}: {announced[first].get(name)} on host {first}, {theirs[name]} on host {host}"
        for host, theirs in announced.items()
        for name in theirs
        if theirs[name] != announced[first].get(name)
    ]
    if faults:
        raise StageError(
            "\n  ".join([f"{title}: the hosts are about to do different things:", *faults])
            + "\n  Run `doit` on each host with the same code, parameters and checkpoint, and with equal artifacts "
            f"({PAGE})."
        )


def _require_no_fault(title: str, faults: Mapping[int, str]) -> None:
    """Raise StageError when a host has a fault; "" is none."""
    for host, fault in faults.items():
        if fault:
            raise StageError(f"{title}: host {host} cannot take part. It says: {fault}")
