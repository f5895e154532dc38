"""What makes the nodes of a build on a Ray cluster, in place of processes of this machine.

Ray is loaded when the first node is to be made (`prepare`); before, a fleet costs nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from stages.errors import FleetError, ParamsError, StageError
from stages.fleet.errand import ENDED, FAILED, PACKAGE, Errand
from stages.fleet.handing_over import HandingOver
from stages.fleet.needs import Needs, find_needs
from stages.fleet.status import Status
from stages.keys import Node
from stages.pipeline.stage import ACCELERATOR, DISK, Program
from stages.run.build import Build
from stages.run.interruption import describe_left
from stages.run.job import Job
from stages.run.runner import STARTING, Event, Runner
from stages.store.artifacts import Store

if TYPE_CHECKING:
    from stages.fleet.cluster import Cluster
    from stages.fleet.seat import Seat
    from stages.fleet.seats import Seats

_MAX_LOST: Final = 3  # hosts or processes that a node may lose; the next one would probably be lost to it, too


def with_fleet(build: Build) -> Build:
    """A build whose nodes are made by a fleet, as the settings of the machine say.

    Raises:
        ParamsError: settings contradict each other.
    """
    handing_over = None
    if build.remote is not None:
        if build.remote.policy.is_read_only:
            raise ParamsError(
                'machine.remote_push = "never": with runner = "ray", hosts give results to each other by the remote '
                "store. Leave it out, or leave `remote` out where all hosts see this store."
            )
        assert isinstance(build.store, Store)
        handing_over = HandingOver(build.store, build.remote, build.pipeline.last.name)
    names = {program.package.partition(".")[0] for program in build.pipeline.programs}
    packages = sorted({PACKAGE, *map(_find_package, names)})
    fleet = Fleet(build.machine.ray_address, packages, build.store.root, build.runner, handing_over)
    return replace(build, runner=fleet)


def require_ray() -> None:
    """Raise FleetError where Ray is not installed."""
    if find_spec("ray") is None:
        raise FleetError(
            "runner = \"ray\": Ray is not installed. Run `pip install 'hunyuan-stages[fleet]'`, in a clone "
            "`pip install -e '.[fleet]'`; on the hosts of the cluster, too."
        )


def read_status(address: str) -> Status:
    """What there is at an address, and what all runs have on it. Raises FleetError."""
    require_ray()
    from stages.fleet.cluster import Cluster  # noqa: PLC0415 (loads Ray)

    cluster = Cluster(address)
    try:
        return Status(cluster.head, tuple(cluster.hosts()), tuple(cluster.actors()))
    finally:
        cluster.close()


class Fleet:
    """Makes nodes on the hosts of a cluster. May be used by several threads."""

    def __init__(
        self, address: str, packages: Sequence[Path], store: Path, local: Runner, handing_over: HandingOver | None
    ) -> None:
        """Connect to nothing.

        Args:
            address: of the cluster.
            packages: folders of the code that makes nodes.
            store: folder of the store.
            local: makes the nodes for which this machine has what they are made from: files.
            handing_over: what passes between the stores of hosts; None where all of them see this one.
        """
        self._address = address
        self._packages = packages
        self._store = store
        self._local = local
        self._handing_over = handing_over
        self._stopped: set[str] = set()  # titles of nodes
        self._is_closed = False
        self._opening = Lock()

    def prepare(self) -> None:
        """Connect to the cluster. Raises FleetError; RemoteError: the remote store, by which hosts share, is away."""
        if self._handing_over is not None:
            self._handing_over.require()
        with self._opening:
            self._seats  # noqa: B018 (is opened)

    def run(self, job: Job, observe: Callable[[Event], None], *, ahead: Program | None = None) -> Event:  # noqa: ARG002
        """As Runner's. What is lost with its host is made again elsewhere, `ahead` is not needed.

        Raises:
            FleetError: the cluster is gone, or has other code.
            RemoteError: the remote store, by which hosts share, does not answer.
        """
        if job.program.device == DISK:
            return self._local.run(job, observe)
        self.prepare()
        if self._handing_over is None:
            return self._have_done(Errand(job), observe)
        entries = self._handing_over.prepare(job)
        errand = Errand(job, remote=str(self._handing_over.remote.address), entries=entries)
        with self._handing_over.claim(job, observe, lambda: self._wait_for_others(job)) as made:
            ending = made or self._have_done(errand, observe)
        return self._handing_over.take(job, ending, observe)

    def stop(self, node: Node, *, at_once: bool) -> None:
        """As Runner's."""
        self._stopped.add(node.title)
        self._local.stop(node, at_once=at_once)
        if self._is_open:
            self._seats.stop(node, at_once=at_once)

    def is_stopped(self, program: Program) -> bool:
        """Whether the program's process stands still; of those on other hosts nobody knows, and they count as busy."""
        return self._local.is_stopped(program)

    def give_up_devices(self) -> None:
        """Let other runs have the chips that idle actors hold."""
        if self._is_open:
            self._seats.drop_idle(ACCELERATOR)

    def close(self) -> Sequence[Node]:
        """As Runner's."""
        self._is_closed = True
        cut = [*self._local.close()]
        if self._is_open:
            cut += self._seats.close()
            self._cluster.close()
        if self._handing_over is not None:
            self._handing_over.bring_states(cut)
        return cut

    def _have_done(self, errand: Errand, observe: Callable[[Event], None]) -> Event:
        """Have an errand done, by another actor where one is lost."""
        job, num_lost = errand.job, 0
        while True:
            seat = self._seats.take(
                job.program, lambda: self._find_needs(job), lambda what: self._wait_for_room(job, what, observe)
            )
            if job.node.title in self._stopped:
                self._seats.give_back(seat)
            self._require_wanted(job)
            ending = self._try(seat, errand, observe)
            if ending["event"] == FAILED:
                error = StageError(str(ending["message"]))
                error.add_note(str(ending["traceback"]))
                raise error
            if ending["event"] != ENDED:
                return ending
            num_lost += not seat.is_leaving
            if job.node.title in self._stopped and self._handing_over is not None:
                self._handing_over.bring_states([job.node])
            if self._is_closed or job.node.title in self._stopped or num_lost == _MAX_LOST:
                raise StageError(str(ending["message"]))
            observe({"event": "warning", "message": f"{_without_title(ending, job)} {self._say_from_where(job)}"})

    def _try(self, seat: "Seat", errand: Errand, observe: Callable[[Event], None]) -> Event:
        """Have an errand done by an actor; the event that ended it."""
        job = errand.job
        if other := next((host for host in seat.hosts if host.code != job.code), None):
            self._seats.drop(seat)
            raise FleetError(
                f"{other.name} has other code of {job.program.package} ({other.code[:12]}) than this run "
                f"({job.code[:12]}). Code travels from here when a run begins: run `doit` again. If that does not "
                "help, a package of the same name is in the way on that host: uninstall it there."
            )
        observe({"event": "phase", "name": STARTING})
        try:
            seat.node = job.node
            ending = seat.follow(errand, observe)
        except BaseException:
            with suppress(FleetError):
                self._seats.drop(seat)
            raise
        if seat.is_broken:
            self._seats.drop(seat)
        else:
            self._seats.give_back(seat)
        return ending

    def _wait_for_room(self, job: Job, what: str, observe: Callable[[Event], None]) -> None:
        self._require_wanted(job)
        observe({"event": "phase", "name": what})

    def _wait_for_others(self, job: Job) -> None:
        self._require_wanted(job)
        self.give_up_devices()  # the run that makes it may need them for it

    def _require_wanted(self, job: Job) -> None:
        """Raise StageError where somebody has stopped a job, which has begun nowhere."""
        if job.node.title in self._stopped:
            raise StageError(f"{job.node.title}: was stopped before a host had begun with it.")

    def _say_from_where(self, job: Job) -> str:
        """What is left of a node whose host was lost."""
        if self._handing_over is not None:
            left = self._handing_over.describe_left(job)
        else:
            left = describe_left([job.node], self._store).removeprefix(f"{job.node.title}: ")
        return f"It is made again; {left}"

    def _find_needs(self, job: Job) -> Needs:
        return find_needs(job, self._cluster.hosts())

    @property
    def _is_open(self) -> bool:
        return "_seats" in self.__dict__

    @cached_property
    def _cluster(self) -> "Cluster":
        require_ray()
        from stages.fleet.cluster import Cluster  # noqa: PLC0415 (loads Ray)

        return Cluster(self._address, self._packages)

    @cached_property
    def _seats(self) -> "Seats":
        cluster = self._cluster
        from stages.fleet.seats import Seats  # noqa: PLC0415 (loads Ray)

        return Seats(cluster)


def _without_title(event: Event, job: Job) -> str:
    """A message, without the title that the display puts before it."""
    return str(event["message"]).removeprefix(f"{job.node.title}: ")


def _find_package(name: str) -> Path:
    """The folder of a package by whose code nodes are made: this one, or one of the project, which is not imported."""
    found = find_spec(name)
    assert found is not None  # its fingerprint has been taken
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])
