"""A seat: an actor on a host of a cluster, or one on each host of a slice, which do one job after another. Loads Ray.

The hosts of a slice do a job together, as without Ray (stages/machine/host_protocol.py): each actor has the program's
process, and host 0 answers for all. When one of them fails, all are given up, after host 0 has saved what it can.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from threading import Lock, Timer
from typing import Any, Final

import ray
import ray.exceptions
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from stages.errors import StageError
from stages.fleet.actor import StageActor
from stages.fleet.cluster import Cluster
from stages.fleet.errand import ENDED, FAILED, Errand
from stages.fleet.needs import RANK, SLICE, TOPOLOGY, Needs
from stages.keys import Node
from stages.machine.host_group import ONE_HOST
from stages.pipeline.stage import Program
from stages.run.lifetime import SAVE_S
from stages.run.runner import Event

LAST_WORDS_S: Final = 10.0  # for ending in order, besides saving, and for putting what was saved on a remote store
_LOOK_S: Final = 0.5  # between two looks whether the cluster is there
_NOTICE_S: Final = SAVE_S + 2 * LAST_WORDS_S  # before a host is taken away, it saves what it makes
_MAX_CALLS: Final = 8  # of an actor at a time: its job, and questions
# Of a slice: all hosts are of one, and no two actors are on one host.
_TOGETHER: Final = {SLICE: "STRICT_PACK", "ray.io/node-id": "STRICT_SPREAD"}


@dataclass(frozen=True)
class SeatHost:
    """A host on which an actor has its place.

    Attributes:
        name: as it calls itself.
        node: by which the cluster knows it.
        code: fingerprint of the program's code there.
        place: among the hosts that do a job together, as the setting `machine.hosts`.
    """

    name: str
    node: str
    code: str
    place: str = ONE_HOST


@dataclass(eq=False)
class Seat:
    """As the run sees it that has asked for it.

    Attributes:
        program: whose jobs it does.
        name: that others see.
        cluster: where it is.
        actors: Ray's handles, that of host 0 first once there are `hosts`.
        greetings: Ray's promises of their first words, once they have places.
        group: by which Ray reserves the hosts of a slice together; None for a single host.
        hosts: of the actors, in their order; none before they have places.
        node: that it makes at present.
        is_broken: whether it can do no more jobs.
        since: by the monotonic clock, when it was given its place, and when it was last given a job or back.
    """

    program: Program
    name: str
    cluster: Cluster
    actors: Sequence[Any]
    greetings: Sequence[Any]
    group: PlacementGroup | None = None
    hosts: Sequence[SeatHost] = ()
    node: Node | None = None
    is_broken: bool = False
    since: float = field(default_factory=time.monotonic)
    last_use: float = field(default_factory=time.monotonic)
    _settling: Lock = field(default_factory=Lock)

    @staticmethod
    def ask_for(cluster: Cluster, program: Program, name: str, needs: Needs) -> "Seat":
        """Ask the cluster for actors, without waiting for their places. Raises FleetError: it is gone."""
        group = cluster.ask(lambda: _reserve(needs)) if needs.num_hosts > 1 else None
        actors = []
        for index in range(needs.num_hosts):
            options = {"name": f"{name}.{index}" if index else name, "max_concurrency": _MAX_CALLS, **needs.options}
            if group is not None:
                options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(group, index)
            create = ray.remote(StageActor).options(**options).remote
            actors.append(cluster.ask(partial(create, program.package)))
        return Seat(program, name, cluster, actors, [actor.__ray_call__.remote(_greet) for actor in actors], group)

    def settle(self) -> None:
        """Wait until all actors have greeted, and note their hosts. Raises RayError, OSError: one cannot be started."""
        with self._settling:
            if not self.hosts:
                self._settle()

    @property
    def is_leaving(self) -> bool:
        """Whether one of its hosts was told to leave the cluster: it gets no more jobs."""
        return any(host.node in self.cluster.leaving for host in self.hosts)

    @property
    def must_save(self) -> bool:
        """Whether one of its hosts leaves so soon that what is being made is to be saved."""
        return any(self.cluster.leaving.get(host.node, inf) < time.time() + _NOTICE_S for host in self.hosts)

    def follow(self, errand: Errand, observe: Callable[[Event], None]) -> Event:
        """Have an errand done; `observe` sees its events, but for the one that ended it, which is returned.

        Raises:
            StageError: an actor has a fault.
            FleetError: the cluster is gone.
        """
        fault: Event | None = None
        limit = Timer(SAVE_S + LAST_WORDS_S, self.kill)  # of host 0, after the fault of another one
        limit.daemon = True
        endings: dict[int, Event] = {}
        try:
            for index, ending in self._hear(errand, observe):
                endings[index] = ending
                if ending["event"] not in (FAILED, ENDED):
                    continue
                self.is_broken |= len(self.hosts) > 1
                if index == 0 or 0 in endings:
                    fault = fault or ending
                    break
                if fault is None:
                    fault = ending
                    self.stop(at_once=False)
                    limit.start()
        finally:
            limit.cancel()
        if fault is None or endings[0]["event"] not in (FAILED, ENDED):
            return endings[0]
        if fault["event"] == ENDED and self.is_leaving:
            names = ", ".join(host.name for host in self.hosts)
            return {**fault, "message": f"{errand.job.node.title}: its host leaves the cluster ({names})."}
        return fault

    def stop(self, *, at_once: bool) -> None:
        """End what is being made; unless `at_once`, it may be saved first, by host 0: the others then wait in vain."""
        self.actors[0].stop.remote(at_once=at_once)

    def kill(self) -> None:
        """End all its actors, and leave their places, whatever they do."""
        for actor in self.actors:
            ray.kill(actor)
        if self.group is not None:
            remove_placement_group(self.group)

    def _settle(self) -> None:
        told = self.cluster.ask(lambda: ray.get([*self.greetings]))
        hosts = [SeatHost(greeting["host"], node, greeting["code"]) for greeting, node in told]
        if len(hosts) > 1:
            nodes = {node["NodeID"]: node for node in self.cluster.ask(ray.nodes)}
            order = sorted(range(len(hosts)), key=lambda index: int(nodes[hosts[index].node]["Labels"].get(RANK, 0)))
            self.actors = [self.actors[index] for index in order]
            server = f"{nodes[hosts[order[0]].node]['NodeManagerAddress']}:{told[order[0]][0]['port']}"
            hosts = [replace(hosts[index], place=f"{server} {rank}/{len(order)}") for rank, index in enumerate(order)]
        self.hosts, self.since = hosts, time.monotonic()

    def _hear(self, errand: Errand, observe: Callable[[Event], None]) -> Iterator[tuple[int, Event]]:
        """How an errand ends on each host, as it does; `observe` sees what host 0 says before."""
        streams = {
            index: actor.run.options(num_returns="streaming").remote(replace(errand, hosts=host.place).to_json())
            for index, (actor, host) in enumerate(zip(self.actors, self.hosts, strict=True))
        }
        last: dict[int, Event] = {}  # that each has said: of host 0, it is shown when another one follows
        while streams:
            if self.must_save:
                self.stop(at_once=False)  # again and again: a process that is about to begin does not hear it
            ready = self.cluster.ask(lambda: ray.wait([*streams.values()], timeout=_LOOK_S)[0])
            for index, stream in [each for each in streams.items() if each[1] in ready]:
                line = None
                try:
                    line = self.cluster.ask(partial(_next, stream))
                except ray.exceptions.RayActorError as error:
                    last[index] = self._describe_loss(index, errand.job.node, error)
                except ray.exceptions.RayTaskError as error:
                    raise StageError(
                        f"on {self.hosts[index].name}: {error.cause}\n  This is a fault of the program."
                    ) from error
                if line is None:
                    del streams[index]
                    yield index, last[index]
                    continue
                if index == 0 and index in last:
                    observe(last[0])
                last[index] = json.loads(line)

    def _describe_loss(self, index: int, node: Node, error: Exception) -> Event:
        """The event that an actor is gone. Raises FleetError where the cluster is gone."""
        self.cluster.require_answer()
        self.is_broken = True
        message = f"{node.title}: its actor on {self.hosts[index].name} has ended ({first_line(error)})."
        return {"event": ENDED, "message": message}


def _greet(actor: StageActor) -> tuple[Mapping[str, Any], str]:
    """An actor's first words, and the node on which it is, which only Ray knows."""
    return json.loads(actor.greet()), ray.get_runtime_context().get_node_id()


def first_line(error: BaseException) -> str:
    """Of a message of Ray's, which can have many; without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")


def _reserve(needs: Needs) -> PlacementGroup:
    """Ask for all hosts of a slice at once; where none is free, Ray goes on looking."""
    selectors = [{TOPOLOGY: needs.topology}] * needs.num_hosts
    bundles = [needs.bundle] * needs.num_hosts
    return placement_group(bundles, topology_strategy=_TOGETHER, bundle_label_selector=selectors)


def _next(events: Any) -> str | None:
    """The next line of an errand; None after the last. (StopIteration passes no thread.)"""
    promise = next(events, None)
    return None if promise is None else str(ray.get(promise))
