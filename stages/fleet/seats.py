"""The seats of one run on a cluster: as many of each program as there are jobs that wait, while the cluster has room.

Who asks for one gets one that is free, or waits for a new one, or for whichever is free first. One that waits for room
is known to the cluster, which can grow by that. Loads Ray.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

import ray
import ray.exceptions

from stages.errors import FleetError, StageError
from stages.fleet.cluster import Cluster
from stages.fleet.needs import Needs
from stages.fleet.seat import LAST_WORDS_S, Seat, first_line
from stages.keys import Node
from stages.machine.holder import Holder
from stages.pipeline.stage import Program
from stages.run.lifetime import SAVE_S

_MAX_LOST: Final = 3  # starts of a program's seats, one after another: the next one would probably be lost, too
_LOOK_S: Final = 0.5  # between two looks for a free actor, or whether the cluster is there
_TEND_S: Final = 5.0  # between two looks whether a seat has become too many
_YIELD_S: Final = 5.0  # of waiting until an idle actor of another program ends for one that may need its room
_KEEP_S: Final = 60.0  # that an idle actor is kept
_TURN_S: Final = 60.0  # that a run has an actor at least, while other runs wait for room


class Seats:
    """Those of this run. May be used by several threads."""

    def __init__(self, cluster: Cluster) -> None:
        """None yet."""
        self._cluster = cluster
        here = Holder.here()
        self._run = f"{here.user}@{here.host}:{here.process}".replace("/", "-")  # which separates parts of names
        self._numbers = itertools.count(1)
        self._coming: list[Seat] = []  # without a place yet
        self._idle: list[Seat] = []
        self._busy: list[Seat] = []
        self._waiting = Counter[Program]()
        self._num_lost = Counter[Program]()  # on their way to a place, since one got there
        self._is_over = threading.Event()
        self._lock = threading.RLock()  # of these six
        threading.Thread(target=self._tend, daemon=True).start()

    def take(self, program: Program, needs: Callable[[], Needs], say: Callable[[str], None]) -> Seat:
        """A seat for a job of a program; `give_back` or `drop` ends that.

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
                    say(f"waiting for {needs()}, {waited_s:.0f} s so far")
            return seat
        finally:
            with self._lock:
                self._waiting[program] -= 1
            self._trim()

    def give_back(self, seat: Seat) -> None:
        """The job is done; the seat is kept for the next, unless others wait for its room and had no turn for long."""
        with self._lock:
            seat.node, seat.last_use = None, time.monotonic()
        # asked while nobody else can take it: where an actor has no place to answer from, that takes seconds
        leaves = time.monotonic() - seat.since > _TURN_S and self._others_wait()
        with self._lock:
            if seat not in self._busy:  # this run is ending, and has dropped it
                return
            self._busy.remove(seat)
            if not leaves:
                self._idle.append(seat)
        if leaves:
            self._kill(seat)

    def drop(self, seat: Seat) -> None:
        """End a seat, whatever it does."""
        with self._lock:
            is_ours = self._forget(seat)
        if is_ours:
            self._kill(seat)

    def drop_idle(self, device: str) -> None:
        """End those of programs for a device that have no job, and for which none waits."""
        with self._lock:
            idle = [seat for seat in self._idle if seat.program.device == device and not self._waiting[seat.program]]
        for seat in idle:
            self._drop_if_idle(seat)

    def stop(self, node: Node, *, at_once: bool) -> None:
        """End the making of a node, where one makes it; unless `at_once`, it may be saved first."""
        with self._lock:
            seats = [seat for seat in self._busy if seat.node and seat.node.artifact == node.artifact]
        for seat in seats:
            seat.stop(at_once=at_once)

    def close(self) -> list[Node]:
        """End all; those in the middle of a job save it. Their nodes."""
        with self._lock:
            self._is_over.set()
            busy = [*self._busy]
            idle, coming = [*self._idle], [*self._coming]
            nodes = [seat.node for seat in busy if seat.node]  # by now: those who follow them give them back
        with suppress(FleetError):  # they are gone, too
            saving = [seat.actors[0] for seat in busy]  # of several hosts the first one saves, for all
            self._cluster.ask(lambda: _close([*saving, *(actor for seat in idle for actor in seat.actors)]))
        for seat in (*busy, *idle, *coming):
            self.drop(seat)
        return nodes

    def _find(self, program: Program, needs: Callable[[], Needs]) -> Seat | None:
        """One that is free by now, or None after some time of waiting."""
        self._cluster.require()
        if not any(each.program == program for each in self._idle):
            needs()  # which asks the cluster, and perhaps the hub: not while others wait for the lock
        with self._lock:
            if self._is_over.is_set():
                raise StageError(f"{program.name}: no actor is started, because this run is ending.")
            if seat := next((each for each in self._idle if each.program == program and not each.is_leaving), None):
                self._idle.remove(seat)
                self._busy.append(seat)
                seat.last_use = time.monotonic()
                return seat
            coming = [each for each in self._coming if each.program == program]
            if len(coming) < self._waiting[program]:
                coming.append(self._start(program, needs()))
        for seat in self._cluster.ask(lambda: _await_places(coming)):
            self._seat(seat)
        return None

    def _start(self, program: Program, needs: Needs) -> Seat:
        name = f"{self._run}/{program.name}/{next(self._numbers)}"
        seat = Seat.ask_for(self._cluster, program, name, needs)
        self._coming.append(seat)
        return seat

    def _seat(self, seat: Seat) -> None:
        """Note that a seat has got its place. Raises FleetError: it has not, and no other one will.

        That its host is lost meanwhile can happen: then another one is asked for.
        """
        try:
            seat.settle()
        except (ray.exceptions.RayError, OSError) as error:
            if seat not in self._coming:  # another thread needed no more of them, and has ended it
                return
            self.drop(seat)
            with self._lock:
                self._num_lost[seat.program] += 1
                is_lost = isinstance(error, ray.exceptions.RayActorError)
                if is_lost and self._num_lost[seat.program] < _MAX_LOST:
                    return
            raise FleetError(f"{seat.program.name}: no actor can be started: {first_line(error)}") from error
        with self._lock:
            if seat in self._coming:  # of two threads that see it, one has it
                self._coming.remove(seat)
                self._idle.append(seat)
                self._num_lost[seat.program] = 0

    def _tend(self) -> None:
        """End seats also while no job asks for one: others may wait for their room."""
        while not self._is_over.wait(_TEND_S):
            self._trim()

    def _trim(self) -> None:
        """Ask for no more new seats than jobs wait, and end those idle for long, or whose hosts leave."""
        now = time.monotonic()
        with self._lock:
            ending = [
                seat
                for seat in self._idle
                if seat.is_leaving or (now - seat.last_use > _KEEP_S and not self._waiting[seat.program])
            ]
            num_left = Counter(self._waiting)
            for seat in self._coming:
                num_left[seat.program] -= 1
                if num_left[seat.program] < 0:
                    ending.append(seat)
            for seat in ending:
                self._forget(seat)
        for seat in ending:
            self._kill(seat)

    def _yield_room(self, program: Program) -> None:
        """End idle actors of other programs for which no job waits: a new one may need their room."""
        with self._lock:
            idle = [seat for seat in self._idle if seat.program != program and not self._waiting[seat.program]]
        for seat in idle[:1]:
            self._drop_if_idle(seat)

    def _drop_if_idle(self, seat: Seat) -> None:
        with self._lock:
            is_idle = seat in self._idle and self._forget(seat)
        if is_idle:
            self._kill(seat)

    def _forget(self, seat: Seat) -> bool:
        """Have no part in a seat any more, so that no job gets it; whether there was one."""
        lists = [seats for seats in (self._coming, self._idle, self._busy) if seat in seats]
        for seats in lists:
            seats.remove(seat)
        return bool(lists)

    def _kill(self, seat: Seat) -> None:
        with suppress(FleetError):  # it is gone, too
            self._cluster.ask(seat.kill)

    def _others_wait(self) -> bool:
        """Whether an actor of another run waits for a place on the cluster, as far as it answers."""
        with suppress(FleetError):
            return any(not each.host for each in self._cluster.actors(but=self._run))
        return False


def _await_places(seats: Sequence[Seat]) -> list[Seat]:
    """Those of which all actors have their places, or one was lost on its way; after some time, or sooner."""
    missing = {seat: ray.wait([*seat.greetings], num_returns=len(seat.greetings), timeout=0)[1] for seat in seats}
    if found := [seat for seat in seats if not missing[seat] or _is_lost(seat, but=missing[seat])]:
        return found
    ray.wait([promises[0] for promises in missing.values()], timeout=_LOOK_S)
    return []


def _is_lost(seat: Seat, *, but: Sequence[Any]) -> bool:
    """Whether one of the actors that have said something could not greet."""
    try:
        ray.get([greeting for greeting in seat.greetings if greeting not in but])
    except ray.exceptions.RayError:
        return True
    return False


def _close(actors: Sequence[Any]) -> None:
    """Let actors end in order, those in the middle of a job after they have saved it."""
    if closing := [actor.close.remote() for actor in actors]:
        ray.wait(closing, num_returns=len(closing), timeout=SAVE_S + LAST_WORDS_S)
