"""Devices by the name of their platform."""

import os
import subprocess
import sys
from collections.abc import Mapping

import jax
import pytest

from stages.errors import MeshError
from stages.machine.devices import pick_devices
from tests.project import PROJECT

PICK = """
import sys
from stages.errors import MeshError
from stages.machine.devices import pick_devices
try:
    print({device.platform for device in pick_devices(sys.argv[1])})
except MeshError as error:
    print(error)
"""


def pick_elsewhere(platform: str, settings: Mapping[str, str]) -> str:
    """What a process of its own with these variables prints: its platforms, or the error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")} | settings
    command = [sys.executable, "-c", PICK, platform]
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("platform", ["auto", "cpu"])
def test_a_platform_that_is_there_has_devices(platform: str):
    assert {device.platform for device in pick_devices(platform)} == {"cpu"}


@pytest.mark.parametrize(
    ("platform", "install"),
    [
        ("tpu", "a TPU also needs `pip install -e '.[tpu]'`."),
        ("gpu", "a GPU also needs JAX with CUDA, `pip install 'jax[cuda12]'`, and NVIDIA's driver."),
    ],
)
def test_a_platform_that_is_not_there_is_an_error_and_the_next_job_may_ask_for_another(platform: str, install: str):
    with pytest.raises(MeshError) as error:
        pick_devices(platform)
    message = str(error.value)
    assert message.startswith(f'platform = "{platform}": JAX finds no such device on this machine (')
    assert message.endswith(f'). Set machine.platform in params/machine.toml to "auto" or "cpu"; {install}')
    assert pick_devices("auto") == jax.devices()


@pytest.mark.processes
@pytest.mark.parametrize("wanted", ["tpu,cpu", "foo", "cuda"])
def test_a_platform_that_is_named_starts_no_other_whatever_the_variable_says(wanted: str):
    assert pick_elsewhere("cpu", {"JAX_PLATFORMS": wanted}) == "{'cpu'}"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (
            "foo",
            "Unable to initialize backend 'foo': Backend 'foo' is not in the list of known backends: "
            "['cpu', 'tpu']. (set JAX_PLATFORMS='' to automatically choose an available backend)",
        ),
        ("cuda", "it sees no NVIDIA GPU"),
    ],
)
def test_a_wrong_choice_of_the_environment_is_named(wanted: str, reason: str):
    assert pick_elsewhere("auto", {"JAX_PLATFORMS": wanted}) == (
        f'JAX_PLATFORMS={wanted} in the environment, and machine.platform is "auto": JAX finds no such device on this '
        f"machine ({reason}). Unset JAX_PLATFORMS, or set machine.platform in params/machine.toml to "
        '"cpu": it comes before the variable.'
    )


@pytest.mark.processes
def test_an_empty_choice_of_the_environment_is_none():
    assert pick_elsewhere("auto", {"JAX_PLATFORMS": ""}) == "{'cpu'}"
