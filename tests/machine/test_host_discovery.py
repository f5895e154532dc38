"""Who the other hosts are."""

import pytest

from stages.machine.host_discovery import Place, find_place


@pytest.mark.parametrize("setting", ["one", "auto", "somewhere:8482 0/1"])
def test_a_host_without_others_computes_alone(setting: str):
    assert find_place(setting, platform="auto") is None


def test_a_cpu_computes_alone_unless_hosts_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "here,there")
    assert find_place("auto", platform="cpu") is None
    assert find_place("10.0.0.2:8482 1/4", platform="cpu") == Place("10.0.0.2", 8482, 1, 4)
    assert find_place("[fd00::2]:8482 3/4", platform="auto") == Place("[fd00::2]", 8482, 3, 4)
