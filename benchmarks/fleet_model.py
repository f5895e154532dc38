"""A fleet in simulated time: hosts that come and go, stages that take turns on chips, transfers that share a network.

What it leaves out stands with the figures (docs/decisions/0046-a-fleet-in-simulation.md).
"""

import random
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import simpy

CHIPS, HOST, CPU = "chips", "host", "cpu"  # what a stage takes of a host
Steps: TypeAlias = Generator[simpy.Event, Any, None]
_DONE: Final = 1e-9  # seconds or units of work that are left for rounding alone


@dataclass(frozen=True)
class StageCosts:
    """Of one stage.

    Attributes:
        name: of the stage.
        seat: what it takes of a host while its process runs: CHIPS, HOST or CPU.
        start_s: until its process has its libraries and weights.
        compile_s: of the first job that a host does; the others load what it has compiled.
        work_s: of a job.
        cores: that it keeps busy, on average.
        output_bytes: of an artifact.
        is_saved: whether a job that is interrupted goes on where it was.
    """

    name: str
    seat: str
    start_s: float
    compile_s: float
    work_s: float
    cores: float
    output_bytes: float
    is_saved: bool = False


@dataclass(frozen=True)
class FleetCosts:
    """Of what stages have in common.

    Attributes:
        stages: in their order.
        driver_s: of the machine where `doit` runs, per node, one after the other.
        host_cores: of each host; of all of them together where `is_one_machine`.
        seats: how many processes a host has room for, by what they take.
        host_bytes_per_s: of a host's network.
        store_bytes_per_s: of the remote store, for all hosts together.
        request_s: until the remote store begins to answer.
        preemptions_per_hour: of each host.
        replace_s: until another host is there.
    """

    stages: tuple[StageCosts, ...]
    driver_s: float
    host_cores: float
    seats: Mapping[str, int]
    host_bytes_per_s: float
    store_bytes_per_s: float
    request_s: float
    preemptions_per_hour: float = 0.0
    replace_s: float = 0.0
    is_one_machine: bool = False


@dataclass
class Outcome:
    """What a simulated run took.

    Attributes:
        makespan_s: from its beginning to its last artifact.
        moved_bytes: to and from the remote store.
        chip_s: of all seats on chips, by what was done there.
        num_starts: of processes, by stage.
        num_preemptions: of hosts.
        driver_busy_s: of the driver.
    """

    makespan_s: float = 0.0
    moved_bytes: float = 0.0
    chip_s: dict[str, float] = field(default_factory=dict)
    num_starts: dict[str, int] = field(default_factory=dict)
    num_preemptions: int = 0
    driver_busy_s: float = 0.0


@dataclass(eq=False)
class _User:
    left: float
    most: float
    end: simpy.Event
    rate: float = 0.0


class Shared:
    """A rate that those who use it at the same time share alike, each up to a limit: cores, or a network."""

    def __init__(self, env: simpy.Environment, total: float) -> None:
        """Units per second of all users together."""
        self._env = env
        self._total = total
        self._users: list[_User] = []
        self._since = 0.0
        self._version = 0

    def use(self, amount: float, most: float) -> Steps:
        """Wait until `amount` units are done, `most` a second at most."""
        if amount <= 0:
            return
        self._pass_time()
        user = _User(amount, most, self._env.event())
        self._users.append(user)
        self._plan()
        try:
            yield user.end
        finally:  # also when the host goes
            self._pass_time()
            self._users.remove(user)
            self._plan()

    def _pass_time(self) -> None:
        """Take off what has been done since the last change."""
        for user in self._users:
            user.left -= user.rate * (self._env.now - self._since)
        self._since = self._env.now

    def _plan(self) -> None:
        """Share the rate anew, and wait for the first who will be done."""
        total = self._total
        for index, user in enumerate(sorted(self._users, key=lambda user: user.most)):
            user.rate = min(user.most, total / (len(self._users) - index))
            total -= user.rate
        self._version += 1
        if self._users:
            self._env.process(self._finish(min(user.left / user.rate for user in self._users), self._version))

    def _finish(self, after_s: float, version: int) -> Steps:
        yield self._env.timeout(max(after_s, 0))
        if version == self._version:
            self._pass_time()
            for user in self._users:
                if user.left <= _DONE * user.most and not user.end.triggered:
                    user.end.succeed()


@dataclass
class Job:
    """A stage's work for a video: where its input was made, and what an earlier host has done of it and saved."""

    video: int
    stage: int
    made_on: tuple["Host", int] | None = None
    done_s: float = 0.0


class Host:
    """A machine of the fleet, with its own copies of what it has made and compiled."""

    def __init__(self, cores: Shared) -> None:
        self.cores = cores
        self.compiled: set[int] = set()
        self.generation = 0  # how often it has been replaced


class Fleet:
    """All hosts, and what waits for them."""

    def __init__(self, costs: FleetCosts, *, num_videos: int, num_hosts: int, seed: int = 0) -> None:
        """Nothing has begun."""
        self.costs, self.env, self.outcome = costs, simpy.Environment(), Outcome()
        self._random = random.Random(seed)  # noqa: S311 (a simulation)
        self._queues: list[deque[Job]] = [deque() for _ in costs.stages]
        self._queues[0].extend(Job(video, 0) for video in range(num_videos))
        self._driver = simpy.Resource(self.env)
        self._store = Shared(self.env, costs.store_bytes_per_s)
        self._left = num_videos * len(costs.stages)
        self._news = {kind: self.env.event() for kind in costs.seats}  # of jobs for such places
        self._end = self.env.event()
        self._spans: dict[object, tuple[str, float]] = {}  # what goes on at chips, and since when
        machine = Shared(self.env, costs.host_cores)
        for _ in range(num_hosts):
            self._open(Host(machine if costs.is_one_machine else Shared(self.env, costs.host_cores)))

    def run(self) -> Outcome:
        """Make all videos."""
        self.env.run(self._end)
        self.outcome.makespan_s = self.env.now
        for span in [*self._spans]:
            self._count(span)
        return self.outcome

    def _open(self, host: Host) -> None:
        seats = [
            self.env.process(self._seat(host, kind)) for kind, number in self.costs.seats.items() for _ in range(number)
        ]
        if self.costs.preemptions_per_hour:
            self.env.process(self._preempt(host, seats))

    def _preempt(self, host: Host, seats: list[simpy.Process]) -> Steps:
        while True:
            yield self.env.timeout(self._random.expovariate(self.costs.preemptions_per_hour / 3600))
            self.outcome.num_preemptions += 1
            host.compiled.clear()
            host.generation += 1
            for seat in seats:
                seat.interrupt()
            yield self.env.timeout(self.costs.replace_s)

    def _seat(self, host: Host, kind: str) -> Steps:
        """One place of a host: the process of one stage after the other, of those that take such a place."""
        stage, job = -1, None
        while True:
            try:
                while (job := self._take(kind, stage)) is None:
                    with self._counted(kind, "nothing to do"):
                        yield self._news[kind]
                if job.stage != stage:
                    stage = -1
                    yield from self._start(host, kind, job.stage)
                    stage = job.stage
                yield from self._do(host, kind, job)
            except simpy.Interrupt:
                stage = -1
                if job is not None:
                    self._queues[job.stage].appendleft(job)
                    job = None
                    self._tell(kind)
                with self._counted(kind, "gone"):
                    yield self.env.timeout(self.costs.replace_s)

    def _take(self, kind: str, stage: int) -> Job | None:
        """A job for such a place: of the stage whose process is there, else of the last stage that waits."""
        waiting = [index for index, each in enumerate(self.costs.stages) if each.seat == kind and self._queues[index]]
        if not waiting:
            return None
        return self._queues[stage if stage in waiting else waiting[-1]].popleft()

    def _start(self, host: Host, kind: str, stage: int) -> Steps:
        each = self.costs.stages[stage]
        self.outcome.num_starts[each.name] = self.outcome.num_starts.get(each.name, 0) + 1
        with self._counted(kind, "starting"):
            yield from host.cores.use(each.start_s, 1)
        if stage not in host.compiled:
            with self._counted(kind, "compiling"):
                yield from host.cores.use(each.compile_s * each.cores, each.cores)
            host.compiled.add(stage)

    def _do(self, host: Host, kind: str, job: Job) -> Steps:
        each = self.costs.stages[job.stage]
        with self._counted(kind, "waiting for the driver"):
            yield from self._ask_driver()
        with self._counted(kind, "fetching"):
            if job.stage and job.made_on != (host, host.generation):
                yield from self._transfer(self.costs.stages[job.stage - 1].output_bytes)
        begun = self.env.now
        try:
            with self._counted(kind, each.name):
                yield from host.cores.use((each.work_s - job.done_s) * each.cores, each.cores)
        except simpy.Interrupt:
            job.done_s += self.env.now - begun if each.is_saved else 0
            raise
        with self._counted(kind, "pushing"):
            yield from self._transfer(each.output_bytes)
        self._finish(job, host)

    def _ask_driver(self) -> Steps:
        with self._driver.request() as turn:
            yield turn
            yield self.env.timeout(self.costs.driver_s)
            self.outcome.driver_busy_s += self.costs.driver_s

    def _transfer(self, size_bytes: float) -> Steps:
        if size_bytes:
            yield self.env.timeout(self.costs.request_s)
            yield from self._store.use(size_bytes, self.costs.host_bytes_per_s)
            self.outcome.moved_bytes += size_bytes

    def _finish(self, job: Job, host: Host) -> None:
        self._left -= 1
        if job.stage + 1 < len(self.costs.stages):
            self._queues[job.stage + 1].append(Job(job.video, job.stage + 1, (host, host.generation)))
            self._tell(self.costs.stages[job.stage + 1].seat)
        elif not self._left:
            self._end.succeed()

    def _tell(self, kind: str) -> None:
        news, self._news[kind] = self._news[kind], self.env.event()
        news.succeed()

    @contextmanager
    def _counted(self, kind: str, name: str) -> Generator[None, None, None]:
        span = object()
        if kind == CHIPS:
            self._spans[span] = name, self.env.now
        try:
            yield
        finally:
            self._count(span)

    def _count(self, span: object) -> None:
        if span in self._spans:  # not of a place that is no chip, and not after the end
            name, begun = self._spans.pop(span)
            self.outcome.chip_s[name] = self.outcome.chip_s.get(name, 0.0) + self.env.now - begun
