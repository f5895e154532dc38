"""The actors of one run on a cluster: as many of each program as there are jobs that wait, while the cluster has room.

Who asks for one gets one that is free, or waits for a new one, or for whichever is free first. One that waits for room
is known to the cluster, which can grow by that. Loads Ray.
"""

import getpass
import itertools
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import ray
import ray.exceptions

from stages.errors import FleetError, StageError
from stages.fleet.actor import StageActor
from stages.fleet.cluster import Cluster
from stages.fleet.needs import Needs
from stages.keys import Node
from stages.pipeline.stage import Program
from stages.run.lifetime import SAVE_S
from stages.run.runner import Event

_LOOK_S: Final = 0.5  # between two looks for a free actor, or whether the cluster is there
_YIELD_S: Final = 5.0  # of waiting until an idle actor of another program ends for one that may need its room
_KEEP_S: Final = 60.0  # that an idle actor is kept
_TURN_S: Final = 60.0  # that a run has an actor at least, while other runs wait for room
_LAST_WORDS_S: Final = 5.0  # for ending in order, besides saving
_MAX_CALLS: Final = 8  # of an actor at a time: its job, and questions


class SeatLostError(Exception):
    """An actor has ended, or its host; the message says how."""


@dataclass(eq=False)
class Seat:
    """An actor, as the run sees it that has started it.

    Attributes:
        program: whose jobs it does.
        name: that others see.
        actor: Ray's handle.
        greeting: Ray's promise of its first words, once it has a place.
        host: name of its host; "" before that.
        code: fingerprint of the program's code there.
        node: that it makes at present.
        since: by the monotonic clock, when it was given its place, and when it was last given a job or back.
    """

    program: Program
    name: str
    actor: Any
    greeting: Any
    host: str = ""
    code: str = ""
    node: Node | None = None
    since: float = field(default_factory=time.monotonic)
    last_use: float = field(default_factory=time.monotonic)


class Seats:
    """The actors of this run. May be used by several threads."""

    def __init__(self, cluster: Cluster) -> None:
        """None yet."""
        self._cluster = cluster
        self._run = f"{getpass.getuser()}@{socket.gethostname()}:{os.getpid()}"
        self._numbers = itertools.count(1)
        self._coming: list[Seat] = []  # without a place yet
        self._idle: list[Seat] = []
        self._busy: list[Seat] = []
        self._waiting = Counter[Program]()
        self._is_closed = False
        self._lock = threading.RLock()  # of these five

    def take(self, program: Program, needs: Callable[[], Needs], say: Callable[[str], None]) -> Seat:
        """An actor for a job of a program; `give_back` or `drop` ends that.

        Args:
            program: of the job.
            needs: asked, where a new one is needed, what it takes of a host.
            say: shows what is waited for.
        Raises:
            FleetError: the cluster is gone, or an actor cannot be started there.
            StageError: the run is ending.
        """
        start, needs = time.monotonic(), cache(needs)
        with self._lock:
            self._waiting[program] += 1
        try:
            while (seat := self._find(program, needs)) is None:
                waited_s = time.monotonic() - start
                if waited_s > _YIELD_S:
                    self._yield_room(program)
                    say(f"waiting for a host with {needs()}, {waited_s:.0f} s so far")
            return seat
        finally:
            with self._lock:
                self._waiting[program] -= 1
            self._trim(program)

    def give_back(self, seat: Seat) -> None:
        """The job is done; the actor is kept for the next, unless others wait for its room and had no turn for long."""
        with self._lock:
            self._busy.remove(seat)
            seat.node, seat.last_use = None, time.monotonic()
            self._idle.append(seat)
        had_turn = time.monotonic() - seat.since > _TURN_S
        if had_turn and self._others_wait():
            self.drop(seat)
        self._trim(seat.program)

    def drop(self, seat: Seat) -> None:
        """End an actor, whatever it does."""
        with self._lock:
            for seats in (self._coming, self._idle, self._busy):
                if seat in seats:
                    seats.remove(seat)
        with suppress(FleetError):  # it is gone, too
            self._cluster.ask(lambda: ray.kill(seat.actor))

    def drop_idle(self, device: str = "") -> None:
        """End all that have no job; with `device`, those of its programs."""
        with self._lock:
            leaving = [seat for seat in self._idle if not device or seat.program.device == device]
        for seat in leaving:
            self._drop_if_idle(seat)

    def follow(self, seat: Seat, errand: str, observe: Callable[[Event], None]) -> Event:
        """Have an errand done; `observe` sees its events, but for the last, which is returned.

        Raises:
            SeatLostError: the actor has ended.
            FleetError: the cluster is gone.
        """
        events = seat.actor.run.options(num_returns="streaming").remote(errand)
        last: Event | None = None
        for line in self._lines(seat, events):
            if last is not None:
                observe(last)
            last = json.loads(line)
        if last is None:
            raise SeatLostError(f"its actor on {seat.host} has said nothing")
        return last

    def stop(self, node: Node, *, at_once: bool) -> None:
        """End the making of a node, where one makes it; unless `at_once`, it may be saved first."""
        with self._lock:
            actors = [seat.actor for seat in self._busy if seat.node and seat.node.artifact == node.artifact]
        for actor in actors:
            actor.stop.remote(at_once=at_once)

    def close(self) -> list[Node]:
        """End all actors; those in the middle of a job save it. Their nodes."""
        with self._lock:
            self._is_closed = True
            busy = [*self._busy]
            others = [*self._coming, *self._idle]
            nodes = [seat.node for seat in busy if seat.node]  # by now: those who follow them give them back
        with suppress(FleetError):  # they are gone, too
            self._cluster.ask(lambda: _close([seat.actor for seat in (*busy, *self._idle)]))
        for seat in (*busy, *others):
            self.drop(seat)
        return nodes

    def _lines(self, seat: Seat, events: Any) -> Iterator[str]:
        """What an errand gives, as it comes."""
        while True:
            if not self._cluster.ask(lambda: ray.wait([events], timeout=_LOOK_S)[0]):
                continue
            try:
                line = self._cluster.ask(lambda: _next(events))
            except ray.exceptions.RayActorError as error:
                self._cluster.require_answer()
                raise SeatLostError(f"its actor on {seat.host} has ended ({_first_line(error)})") from error
            except ray.exceptions.RayTaskError as error:
                raise StageError(f"on {seat.host}: {error.cause}\n  This is a fault of the program.") from error
            if line is None:
                return
            yield line

    def _find(self, program: Program, needs: Callable[[], Needs]) -> Seat | None:
        """One that is free by now, or None after some time of waiting."""
        self._cluster.require()
        if not any(each.program == program for each in self._idle):
            needs()  # which asks the cluster, and perhaps the hub: not while others wait for the lock
        with self._lock:
            if self._is_closed:
                raise StageError(f"{program.name}: no actor is started, because this run is ending.")
            if seat := next((each for each in self._idle if each.program == program), None):
                self._idle.remove(seat)
                self._busy.append(seat)
                seat.last_use = time.monotonic()
                return seat
            coming = [each for each in self._coming if each.program == program]
            if len(coming) < self._waiting[program]:
                coming.append(self._start(program, needs()))
        ready, _ = self._cluster.ask(lambda: ray.wait([each.greeting for each in coming], timeout=_LOOK_S))
        for seat in coming:
            if seat.greeting in ready:
                self._seat(seat)
        return None

    def _start(self, program: Program, needs: Needs) -> Seat:
        name = f"{self._run}/{program.name}/{next(self._numbers)}"
        options = {"name": name, "max_concurrency": _MAX_CALLS, **needs.options}
        create = ray.remote(StageActor).options(**options).remote
        actor = self._cluster.ask(lambda: create(program.package))
        seat = Seat(program, name, actor, actor.greet.remote())
        self._coming.append(seat)
        return seat

    def _seat(self, seat: Seat) -> None:
        """Note that an actor has got its place. Raises FleetError: it has not."""
        try:
            greeting = json.loads(self._cluster.ask(lambda: ray.get(seat.greeting)))
        except (ray.exceptions.RayError, OSError) as error:
            if seat not in self._coming:  # another thread needed no more of them, and has ended it
                return
            self.drop(seat)
            raise FleetError(f"{seat.program.name}: no actor can be started: {_first_line(error)}") from error
        with self._lock:
            if seat in self._coming:  # of two threads that see it, one has it
                self._coming.remove(seat)
                seat.host, seat.code, seat.since = greeting["host"], greeting["code"], time.monotonic()
                self._idle.append(seat)

    def _trim(self, program: Program) -> None:
        """Ask for no more new actors than jobs wait, and end those that have been idle for long."""
        now = time.monotonic()
        with self._lock:
            coming = [seat for seat in self._coming if seat.program == program]
            surplus = coming[self._waiting[program] :]
            old = [seat for seat in self._idle if now - seat.last_use > _KEEP_S and not self._waiting[seat.program]]
        for seat in (*surplus, *old):
            self.drop(seat)

    def _yield_room(self, program: Program) -> None:
        """End idle actors of other programs for which no job waits: a new one may need their room."""
        with self._lock:
            idle = [seat for seat in self._idle if seat.program != program and not self._waiting[seat.program]]
        for seat in idle[:1]:
            self._drop_if_idle(seat)

    def _drop_if_idle(self, seat: Seat) -> None:
        with self._lock:
            is_idle = seat in self._idle
            if is_idle:
                self._idle.remove(seat)
        if is_idle:
            self.drop(seat)

    def _others_wait(self) -> bool:
        """Whether an actor of another run waits for a place on the cluster."""
        return any(not each.host for each in self._cluster.actors(but=self._run))


def _close(actors: Sequence[Any]) -> None:
    """Let actors end in order, those in the middle of a job after they have saved it."""
    if closing := [actor.close.remote() for actor in actors]:
        ray.wait(closing, num_returns=len(closing), timeout=SAVE_S + _LAST_WORDS_S)


def _next(events: Any) -> str | None:
    """The next line of an errand; None after the last. (StopIteration passes no thread.)"""
    promise = next(events, None)
    return None if promise is None else str(ray.get(promise))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0].rstrip(".")
