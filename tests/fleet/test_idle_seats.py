"""Who keeps an actor, and for how long: the seats of a run on a cluster that is asked nothing."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stages.errors import FleetError
from stages.fleet.status import KnownActor
from stages.machine import holder
from stages.pipeline.stage import ACCELERATOR, HOST, Program
from tests.fleet.waiting import wait_for

ray = pytest.importorskip("ray", reason="the extra `fleet` is not installed")
seats_module = pytest.importorskip("stages.fleet.seats")
pytestmark = pytest.mark.fleet
DENOISE, ENCODE = Program("stages.denoise", ACCELERATOR), Program("stages.encode", HOST)
WAITING = KnownActor("another", "stages.denoise", host="")


class QuietCluster:
    """A cluster whose actors are names."""

    def __init__(self) -> None:
        """Nobody else is there."""
        self.leaving: dict[str, float] = {}
        self.look = list[KnownActor]

    def ask(self, question: Callable[[], Any]) -> Any:
        return question()

    def actors(self, *, but: str) -> list[KnownActor]:
        assert but
        return self.look()


@pytest.fixture
def cluster() -> QuietCluster:
    return QuietCluster()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The actors that were ended."""
    names: list[str] = []
    monkeypatch.setattr(ray, "kill", names.append)
    return names


@pytest.fixture
def seats(cluster: QuietCluster, ended: list[str]) -> Iterator[Any]:
    assert ended == []  # from now on none is really ended
    seats = seats_module.Seats(cluster)
    yield seats
    seats._is_over.set()


def build_seat(cluster: QuietCluster, program: Program = DENOISE) -> Any:
    return seats_module.Seat(program, "name", cluster, [program.name], [f"{program.name} greets"])


def test_an_actor_that_was_idle_for_long_ends_while_nobody_asks_for_anything(
    cluster: QuietCluster, ended: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(seats_module, "_TEND_S", 0.01)
    monkeypatch.setattr(seats_module, "_KEEP_S", 0.1)
    seats = seats_module.Seats(cluster)
    seats._idle += [build_seat(cluster), build_seat(cluster, ENCODE)]
    seats._waiting[ENCODE] += 1  # somebody is about to take it
    wait_for(lambda: ended)
    seats._is_over.set()
    assert ended == ["denoise"]


def test_nobody_gets_an_actor_that_is_to_leave_its_room_to_another_run(
    cluster: QuietCluster, seats: Any, ended: list[str]
):
    seat = build_seat(cluster)
    seat.since = time.monotonic() - 1000
    seats._busy.append(seat)

    def look() -> list[KnownActor]:
        assert seats._idle == []
        return [WAITING]

    cluster.look = look
    seats.give_back(seat)
    assert ended == ["denoise"]
    assert seats._idle == seats._busy == []


def test_an_actor_that_had_no_minute_yet_or_for_whose_room_nobody_waits_is_kept(
    cluster: QuietCluster, seats: Any, ended: list[str]
):
    cluster.look = lambda: [WAITING]
    new, old = build_seat(cluster), build_seat(cluster)
    seats._busy += [new, old]
    seats.give_back(new)
    cluster.look = list[KnownActor]
    old.since = time.monotonic() - 1000
    seats.give_back(old)
    assert ended == []
    assert seats._idle == [new, old]


def test_a_job_that_is_done_is_done_also_when_the_head_is_lost_just_then(cluster: QuietCluster, seats: Any):
    seat = build_seat(cluster)
    seat.since = time.monotonic() - 1000
    seats._busy.append(seat)

    def look() -> list[KnownActor]:
        raise FleetError("gone")

    cluster.look = look
    seats.give_back(seat)
    assert seats._idle == [seat]


def test_devices_are_given_up_but_for_those_for_which_a_job_waits(cluster: QuietCluster, seats: Any, ended: list[str]):
    seats._idle += [build_seat(cluster), build_seat(cluster, ENCODE)]
    seats._waiting[DENOISE] += 1
    seats.drop_idle(ACCELERATOR)
    assert ended == []
    seats._waiting[DENOISE] -= 1
    seats.drop_idle(ACCELERATOR)
    assert ended == ["denoise"]


def test_when_a_run_has_ended_late_threads_end_nothing(cluster: QuietCluster, seats: Any, ended: list[str]):
    seat = build_seat(cluster)
    seats._busy.append(seat)
    seats.drop(seat)
    assert ended == ["denoise"]
    seats.give_back(seat)
    seats.drop(seat)
    assert ended == ["denoise"]
    assert seats._idle == []


def test_no_more_actors_are_on_their_way_than_jobs_wait(cluster: QuietCluster, seats: Any, ended: list[str]):
    first, second = build_seat(cluster), build_seat(cluster)
    seats._coming += [first, second, build_seat(cluster, ENCODE)]
    seats._waiting[DENOISE] = 1
    seats._trim()
    assert seats._coming == [first]
    assert sorted(ended) == ["denoise", "encode"]


def test_a_slice_has_its_place_when_all_its_hosts_have_or_one_of_them_was_lost(
    cluster: QuietCluster, monkeypatch: pytest.MonkeyPatch
):
    one = seats_module.Seat(DENOISE, "name", cluster, [], ["first", "second"])
    ready = {"first"}

    def wait(promises: list[str], *, num_returns: int = 1, timeout: float) -> tuple[list[str], list[str]]:
        assert 0 < num_returns <= len(promises)
        if not timeout:
            return [each for each in promises if each in ready], [each for each in promises if each not in ready]
        assert promises == ["second"]
        return [], promises

    monkeypatch.setattr(ray, "wait", wait)
    monkeypatch.setattr(ray, "get", lambda promises: promises)
    assert seats_module._await_places([one]) == []
    ready.add("second")
    assert seats_module._await_places([one]) == [one]
    ready.remove("second")

    def fail(_: object) -> None:
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(ray, "get", fail)
    assert seats_module._await_places([one]) == [one]


def test_a_users_name_with_a_slash_is_one_part_of_the_names_of_actors(
    cluster: QuietCluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(holder, "_user", lambda: "group/user")
    seats = seats_module.Seats(cluster)
    seats._is_over.set()
    assert "/" not in seats._run
