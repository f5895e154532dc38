"""A job that somebody stops before a host has begun with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.errors import StageError
from stages.fleet.fleet import Fleet
from stages.run.job import Job
from tests.run.export_jobs import build_store, export_job
from tests.run.fakes import FakeRunner, FakeStore, ignore


class OneSeat:
    """Seats of which one is free when it was asked for long enough."""

    def __init__(self, while_waiting: Callable[[], None], when_free: Callable[[], None]) -> None:
        """Two moments."""
        self.given_back: list[object] = []
        self._while_waiting, self._when_free = while_waiting, when_free

    def take(self, _program: object, _needs: object, say: Callable[[str], None]) -> object:
        self._while_waiting()
        say("waiting for 1 CPU")
        self._when_free()
        return "seat"

    def give_back(self, seat: object) -> None:
        self.given_back.append(seat)

    def stop(self, *_: object, **__: object) -> None:
        """It makes nothing."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return export_job(build_store(tmp_path))


@pytest.mark.parametrize("when", ["while it waits", "when it has a seat"])
def test_it_is_not_begun_and_the_seat_is_kept(job: Job, when: str):
    fleet = Fleet("auto", [], job.store, FakeRunner(FakeStore()), None)

    def stop() -> None:
        fleet.stop(job.node, at_once=False)

    seats = OneSeat(stop, ignore_all) if when == "while it waits" else OneSeat(ignore_all, stop)
    has: dict[str, Any] = fleet.__dict__  # is connected
    has |= {"_cluster": None, "_seats": seats}
    with pytest.raises(StageError, match=f"^{job.node.title}: was stopped before a host had begun with it"):
        fleet.run(job, ignore)
    assert seats.given_back == (["seat"] if when == "when it has a seat" else [])


def ignore_all() -> None:
    """Nothing happens."""
