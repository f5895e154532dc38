"""The actors of a run on a cluster that has room for one at a time."""

import json
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.errors import FleetError
from stages.pipeline.stage import ACCELERATOR, Program
from tests.fleet.local_cluster import running_cluster
from tests.fleet.projects import ENDLESS, make_project, run_doit, started
from tests.fleet.waiting import wait_for
from tests.interrupts import interruptible_children

pytestmark = [pytest.mark.processes, pytest.mark.fleet]
pytest.importorskip("ray", reason="the extra `fleet` is not installed")


def test_what_has_no_room_waits_and_ctrl_c_saves_what_is_made_and_ends_all_actors(tmp_path: Path):
    with running_cluster(1) as cluster:
        root = make_project(tmp_path, cluster, "denoise.seed = [1, 2]\n", text=ENDLESS, checkpoint_every="1")
        with interruptible_children(), started(root) as process:
            wait_for(lambda: [*root.glob("artifacts/partial/denoise/*/state")])
            before = read_status(root)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate()
        after = read_status(root)
    placed = [actor for actor in before["actors"] if actor["host"]]
    assert [actor["program"] for actor in placed] == ["denoise"], before  # encode has left its room
    assert placed[0]["node"].startswith("denoise:")
    assert [actor["program"] for actor in before["actors"] if not actor["host"]] == ["denoise"]
    assert process.returncode == 1, stdout + stderr
    assert "saved after step" in stdout + stderr
    assert after["actors"] == []


def read_status(root: Path) -> Mapping[str, Any]:
    result: subprocess.CompletedProcess[str] = run_doit(root, "fleet", "status", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    found: Mapping[str, Any] = json.loads(result.stdout)
    return found


class AnyCluster:
    """A cluster as far as an actor's first words need it."""

    def ask(self, question: Callable[[], Any]) -> Any:
        return question()


def test_an_actor_that_was_given_up_or_lost_on_its_way_is_no_fault_and_three_are(monkeypatch: pytest.MonkeyPatch):
    import ray  # noqa: PLC0415 (with the extra `fleet` alone)

    from stages.fleet.seat import Seat  # noqa: PLC0415
    from stages.fleet.seats import Seats  # noqa: PLC0415

    def fail(_: object) -> None:
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(ray, "get", fail)
    cluster: Any = AnyCluster()
    seats, seat = Seats(cluster), Seat(Program("stages.denoise", ACCELERATOR), "name", cluster, [], [])
    seats._seat(seat)
    for _ in range(2):  # hosts that are lost
        seats._coming.append(seat)
        seats._seat(seat)
    seats._coming.append(seat)
    with pytest.raises(FleetError, match=r"^denoise: no actor can be started"):
        seats._seat(seat)
