"""Hosts find each other, begin a job only together and only the same one, and none waits for ever for another."""

import json
import signal
import socket
from typing import Any

import jax
import pytest

from stages.errors import MeshError
from stages.machine.hosts import Hosts, Place, find_place, join
from tests.hosts_in_step import LOAD_S
from tests.several_hosts import free_port, host_environment, run_on_hosts

pytestmark = pytest.mark.processes

MEND = "Run `doit` on each host with the same"


@pytest.fixture(scope="module")
def ended() -> list[tuple[int, list[dict[str, Any]]]]:
    """How each of two hosts ended, and what it printed."""
    port = str(free_port())
    gke = {
        "JAX_FORCE_TPU_INIT": "1",  # JAX then takes this machine for one of Cloud TPU
        "TPU_WORKER_HOSTNAMES": "localhost,localhost",
        "MEGASCALE_COORDINATOR_ADDRESS": "localhost",
        "MEGASCALE_NUM_SLICES": "1",
        "MEGASCALE_SLICE_ID": "0",
        "JAX_COORDINATOR_PORT": port,
    }
    environments = [host_environment(num_devices=4) | gke | {"TPU_WORKER_ID": str(index)} for index in range(2)]
    results = run_on_hosts("tests.hosts_in_step", [[], []], environments)
    assert results[1].returncode == 0, results[1].stderr
    return [(result.returncode, [json.loads(line) for line in result.stdout.splitlines()]) for result in results]


def told(ended: list[tuple[int, list[dict[str, Any]]]], job: str) -> list[str | None]:
    """What the hosts were told of a job."""
    return [line["error"] for _, lines in ended for line in lines if line.get("job") == job]


@pytest.mark.parametrize("setting", ["one", "auto", "somewhere:8482 0/1"])
def test_a_host_without_others_computes_alone(setting: str):
    assert find_place(setting, platform="auto") is None


def test_a_cpu_computes_alone_unless_hosts_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "here,there")
    assert find_place("auto", platform="cpu") is None
    assert find_place("10.0.0.2:8482 1/4", platform="cpu") == Place("10.0.0.2", 8482, 1, 4)
    assert find_place("[fd00::2]:8482 3/4", platform="auto") == Place("[fd00::2]", 8482, 3, 4)


def test_hosts_that_gke_names_join_and_have_the_devices_of_all(ended):
    for index, (_, lines) in enumerate(ended):
        assert lines[0]["place"] | {"port": 0} == {"address": "localhost", "port": 0, "index": index, "count": 2}
        assert (lines[0]["picked"], lines[0]["own"]) == (8, 4)


def test_hosts_that_do_the_same_begin(ended):
    assert told(ended, "the same") == [None, None]


def test_hosts_that_would_do_different_things_are_all_told_which(ended):
    assert (
        told(ended, "another")
        == [
            "StageError: another: the hosts are not about to do the same:\n  code: c0 on host 0, c1 on host 1\n"
            f"  {MEND} code, parameters and checkpoint, and with equal artifacts (docs/many-hosts.md)."
        ]
        * 2
    )


def test_a_host_that_fails_before_it_computes_tells_the_others(ended):
    assert told(ended, "failing") == [
        "StageError: failing: host 1 cannot take part. It says: CheckpointError: weights are missing",
        "CheckpointError: weights are missing",
    ]


def test_a_host_that_fails_stays_until_the_others_have_heard(ended):
    """They hear when they have loaded, and JAX ends their processes not long after this one's."""
    first, second = (line["time_s"] for _, lines in ended for line in lines if line.get("job") == "failing")
    assert abs(second - first) < LOAD_S / 2


def test_a_host_that_cannot_say_what_it_is_about_to_do_tells_the_others(ended):
    assert told(ended, "failing facts") == [
        "StageError: failing facts: host 1 cannot take part. It says: CheckpointError: weights are missing",
        "CheckpointError: weights are missing",
    ]


def test_hosts_are_in_step_again_after_a_job_that_failed_on_one_before_it_met_the_others(ended):
    assert told(ended, "missed") == [
        "StageError: missed: host 0 cannot take part. It says: it failed before it could begin, and said there why"
    ]
    assert told(ended, "after that") == [None, None]


def test_a_host_that_comes_when_another_has_given_up_is_told_before_it_loads(ended):
    waited, came = told(ended, "late")
    assert waited is not None
    assert waited.startswith("StageError: late: host 1 of 2 did not come to begin it within 5 s")
    assert came == f"StageError: late: host 0 cannot take part. It says: {waited}"
    assert told(ended, "after the late one") == [None, None]


def test_a_host_that_does_not_come_is_told_of(ended):
    (message,) = told(ended, "alone")
    assert message is not None
    assert message.startswith("StageError: alone: host 1 of 2 did not come to begin it within 5 s (DEADLINE_EXCEEDED")
    assert message.endswith(
        f"). {MEND} parameters; where host 1 has the result already, and this one has not, copy it or `doit forget` "
        "it there (docs/many-hosts.md)."
    )


def test_when_a_host_dies_the_others_end(ended):
    assert ended[0][0] == -signal.SIGABRT


def test_a_port_in_use_is_told():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MeshError) as error:
            join(Place("localhost", port, 0, 2))
    assert str(error.value) == (
        f"host 0 cannot listen on port {port} (Address already in use). End what uses it, or name another port in "
        "machine.hosts (docs/many-hosts.md)."
    )


def test_a_host_without_a_device_in_the_mesh_is_told():
    with pytest.raises(MeshError) as error:
        Hosts(0, 3).require_work(jax.devices(), max_devices=32)
    assert str(error.value) == (
        "hosts [1, 2] of 3 have no device in the mesh. Set machine.mesh in params/machine.toml to a layout of all "
        "devices; where there are more than can compute this together, which is 32, use a smaller slice."
    )


def test_one_host_waits_for_nobody():
    alone = Hosts()
    with alone.preparing("a job", 1, lambda: {"node": "n"}):
        alone.require_work(jax.devices(), max_devices=1)
