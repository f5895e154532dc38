"""Which hosts compute together, known without JAX."""

import pytest

from stages.machine.host_group import find_group

TPU = ["/dev/accel0"]


@pytest.mark.parametrize("place", ["0/2", "1/2"])
@pytest.mark.parametrize("address", ["localhost", "10.0.0.2", "[fd00::2]"])
def test_hosts_that_are_named_are_one_group_by_whatever_address_they_reach_the_first(address: str, place: str):
    assert find_group(f"{address}:8482 {place}", platform="cpu", files=[]) == "8482/2"


@pytest.mark.parametrize(
    ("setting", "platform", "files"),
    [("one", "tpu", TPU), ("here:8482 0/1", "tpu", TPU), ("auto", "cpu", TPU), ("auto", "auto", ["/dev/nvidia0"])],
)
def test_a_host_that_computes_by_itself_is_in_no_group(setting: str, platform: str, files: list[str]):
    assert find_group(setting, platform=platform, files=files) == ""


@pytest.mark.processes
def test_of_a_tpu_the_group_is_what_cloud_tpu_says_of_its_slice(monkeypatch: pytest.MonkeyPatch):
    """As GKE tells its pods."""
    variables = {
        "JAX_FORCE_TPU_INIT": "1",  # JAX then takes this machine for one of Cloud TPU
        "TPU_WORKER_HOSTNAMES": "localhost,second",
        "TPU_WORKER_ID": "1",
        "MEGASCALE_COORDINATOR_ADDRESS": "localhost",
        "MEGASCALE_NUM_SLICES": "1",
        "MEGASCALE_SLICE_ID": "0",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    for _ in range(2):
        assert find_group("auto", platform="auto", files=TPU, say=said.append) == "localhost:8482/2"
    assert said == ["asking Cloud TPU which hosts compute together"]
