"""This host's place among the others, as it is set or as Cloud TPU says."""

import pytest

from stages.errors import MeshError
from stages.machine import host_discovery
from stages.machine.host_discovery import Place, find_place


class CloudTpu:
    """What JAX knows of a slice of so many hosts; where there are none, it cannot be asked."""

    def __init__(self, count: int) -> None:
        self._count = count

    def is_env_present(self) -> bool:
        return True

    def get_process_count(self) -> int:
        if not self._count:
            raise ConnectionError("metadata: timed out")
        return self._count

    def get_coordinator_address(self, _timeout_s: int, port: str | None) -> str:
        return f"10.0.0.2:{port or 8482}"

    def get_process_id(self) -> int:
        return self._count - 1


def on_cloud_tpu(monkeypatch: pytest.MonkeyPatch, count: int) -> Place | None:
    """The place that "auto" finds on the last host of a slice."""
    monkeypatch.setattr(host_discovery, "CLOUD_TPU_CLUSTERS", (CloudTpu(count),))
    return find_place("auto", platform="auto")


@pytest.mark.parametrize("setting", ["one", "auto", "somewhere:8482 0/1"])
def test_a_host_without_others_has_no_place(setting: str):
    assert find_place(setting, platform="auto") is None


def test_a_cpu_has_no_place_unless_hosts_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "here,there")
    assert find_place("auto", platform="cpu") is None
    assert find_place("10.0.0.2:8482 1/4", platform="cpu") == Place("10.0.0.2", 8482, 1, 4)
    assert find_place("[fd00::2]:8482 3/4", platform="auto") == Place("[fd00::2]", 8482, 3, 4)


def test_the_place_is_the_one_that_cloud_tpu_says(monkeypatch: pytest.MonkeyPatch):
    assert on_cloud_tpu(monkeypatch, 4) == Place("10.0.0.2", 8482, 3, 4)


def test_the_port_of_a_slice_can_be_chosen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JAX_COORDINATOR_PORT", "9000")
    assert on_cloud_tpu(monkeypatch, 4) == Place("10.0.0.2", 9000, 3, 4)


def test_a_slice_of_one_host_has_no_others(monkeypatch: pytest.MonkeyPatch):
    assert on_cloud_tpu(monkeypatch, 1) is None


def test_a_slice_that_cannot_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(MeshError) as error:
        on_cloud_tpu(monkeypatch, 0)
    assert str(error.value) == (
        "Cloud TPU does not say which hosts belong to this one (ConnectionError: metadata: timed out). Set "
        'machine.hosts in params/machine.toml to "one", or name the hosts (docs/many-hosts.md).'
    )
