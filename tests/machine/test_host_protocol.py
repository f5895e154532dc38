"""Hosts begin a job only together and only the same one, and none waits for ever for another."""

import json
import signal
import socket
from typing import Any

import jax
import pytest

from stages.errors import MeshError, StageError
from stages.machine import host_protocol
from stages.machine.host_discovery import Place
from stages.machine.host_protocol import Hosts, join
from tests.hosts_in_step import LOAD_S
from tests.several_hosts import free_port, host_environment, run_on_hosts

pytestmark = pytest.mark.processes

FIX = "Run `doit` on each host with the same"


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


def errors(ended: list[tuple[int, list[dict[str, Any]]]], job: str) -> list[str | None]:
    """The error with which a job ended on each host that took part."""
    return [line["error"] for _, lines in ended for line in lines if line.get("job") == job]


def test_hosts_that_gke_names_join_and_have_the_devices_of_all(ended):
    for index, (_, lines) in enumerate(ended):
        assert lines[0]["place"] | {"port": 0} == {"address": "localhost", "port": 0, "index": index, "count": 2}
        assert (lines[0]["picked"], lines[0]["own"]) == (8, 4)


def test_hosts_that_do_the_same_begin(ended):
    assert errors(ended, "the same") == [None, None]


def test_hosts_that_would_do_different_things_all_say_which(ended):
    assert (
        errors(ended, "another")
        == [
            "StageError: another: the hosts are about to do different things:\n  code: c0 on host 0, c1 on host 1\n"
            f"  {FIX} code, parameters and checkpoint, and with equal artifacts (docs/many-hosts.md)."
        ]
        * 2
    )


def test_the_error_of_a_host_that_fails_before_it_computes_ends_the_job_on_all(ended):
    assert errors(ended, "failing") == [
        "StageError: failing: host 1 cannot take part. It says: CheckpointError: weights are missing",
        "CheckpointError: weights are missing",
    ]


def test_a_host_that_fails_stays_until_the_others_have_heard(ended):
    """They hear when they have loaded, and JAX ends their processes not long after this one's."""
    first, second = (line["time_s"] for _, lines in ended for line in lines if line.get("job") == "failing")
    assert abs(second - first) < LOAD_S / 2


def test_the_error_of_a_host_that_cannot_find_its_facts_ends_the_job_on_all(ended):
    assert errors(ended, "failing facts") == [
        "StageError: failing facts: host 1 cannot take part. It says: CheckpointError: weights are missing",
        "CheckpointError: weights are missing",
    ]


def test_hosts_are_aligned_again_after_a_job_that_failed_on_one_before_it_met_the_others(ended):
    assert errors(ended, "missed") == [
        "StageError: missed: host 0 cannot take part. It says: the job failed on this host before it could "
        "begin, as its own message says"
    ]
    assert errors(ended, "after that") == [None, None]


def test_all_hosts_start_where_host_0_does(ended):
    for _, lines in ended:
        (start,) = (line for line in lines if line.get("start") == "the same")
        assert start == {"start": "the same", "num_bytes": 5 << 20, "is_that_of_host_0": True}


def test_a_host_that_waits_to_hear_where_to_start_hears_that_host_0_has_failed(ended):
    assert [line["num_bytes"] for _, lines in ended for line in lines if line.get("start") == "failing start"] == [0]
    assert errors(ended, "failing start") == [
        "CheckpointError: weights are missing",
        "StageError: failing start: host 0 cannot take part. It says: CheckpointError: weights are missing",
    ]


def test_one_host_starts_where_it_says():
    assert Hosts().agree_on_start(b"here", "a job") == b"here"


def test_a_host_that_comes_when_another_has_withdrawn_does_not_load(ended):
    waited, came = errors(ended, "late")
    assert waited is not None
    assert waited.startswith("StageError: late: host 1 of 2 did not begin this job within 3 s")
    assert came == f"StageError: late: host 0 cannot take part. It says: {waited}"
    assert errors(ended, "after the late one") == [None, None]


def test_a_host_that_does_not_come_ends_the_job(ended):
    (message,) = errors(ended, "without host 1")
    assert message is not None
    assert message.startswith(
        "StageError: without host 1: host 1 of 2 did not begin this job within 3 s (DEADLINE_EXCEEDED"
    )
    assert message.endswith(
        f"). {FIX} parameters; where host 1 has the result already, and this one has not, copy it or `doit forget` "
        "it there (docs/many-hosts.md)."
    )


def test_when_a_host_dies_the_others_end(ended):
    assert ended[0][0] == -signal.SIGABRT


def test_a_port_in_use_is_an_error():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(MeshError) as error:
            join(Place("localhost", port, 0, 2))
    assert str(error.value) == (
        f"host 0 cannot listen on port {port} (Address already in use). End what uses it, or name another port in "
        "machine.hosts (docs/many-hosts.md)."
    )


def test_a_host_without_a_device_in_the_mesh_is_an_error():
    with pytest.raises(MeshError) as error:
        Hosts(0, 3).require_work(jax.devices(), max_devices=32)
    assert str(error.value) == (
        "hosts [1, 2] of 3 have no device in the mesh. Set machine.mesh in params/machine.toml to a layout of all "
        "devices; where there are more than can compute this together, which is 32, use a smaller slice."
    )


def test_one_host_waits_for_nobody():
    host = Hosts()
    with host.preparing("a job", 1, lambda: {"node": "n"}):
        host.require_work(jax.devices(), max_devices=1)


class Posted(dict[str, str]):
    """JAX's key-value store with what host 1 has posted; a key that is not there never comes."""

    def key_value_set(self, key: str, text: str) -> None:
        if key in self:
            raise jax.errors.JaxRuntimeError("ALREADY_EXISTS")
        self[key] = text

    def blocking_key_value_get(self, key: str, _timeout_ms: int) -> str:
        if key not in self:
            raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED")
        return self[key]

    def key_value_dir_get(self, folder: str) -> list[tuple[str, str]]:
        return [(key, text) for key, text in self.items() if key.startswith(folder)]


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> Posted:
    """Host 1 has begun the same job as host 0 will, and is not ready yet."""
    posted = Posted({"hunyuan-stages/0/begin/1": '{"node": "n"}'})
    monkeypatch.setattr(host_protocol, "key_value_client", lambda: posted)
    return posted


def test_a_host_that_is_never_ready_ends_the_job(posted: Posted):
    with pytest.raises(StageError) as error, Hosts(0, 2).preparing("denoise:1", 1, lambda: {"node": "n"}):
        pass
    assert posted["hunyuan-stages/0/ready/0"] == ""
    assert str(error.value) == (
        "denoise:1: host 1 of 2 was not ready for this job within 3600 s (DEADLINE_EXCEEDED). Run `doit` on each host "
        "with the same parameters; where host 1 has the result already, and this one has not, copy it or `doit forget` "
        "it there (docs/many-hosts.md)."
    )


def test_a_host_that_is_interrupted_withdraws_and_waits_for_nobody(posted: Posted, monkeypatch: pytest.MonkeyPatch):
    waited: list[str] = []
    monkeypatch.setattr(Posted, "blocking_key_value_get", lambda _, key, __: waited.append(key) or '{"node": "n"}')
    with pytest.raises(KeyboardInterrupt), Hosts(0, 2).preparing("denoise:1", 1, lambda: {"node": "n"}):
        raise KeyboardInterrupt
    assert posted["hunyuan-stages/0/ready/0"] == "KeyboardInterrupt: "
    assert waited == ["hunyuan-stages/0/begin/0", "hunyuan-stages/0/begin/1"]
