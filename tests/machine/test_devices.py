"""Devices by the name of their platform."""

import jax
import pytest

from stages.errors import MeshError
from stages.machine.devices import pick_devices


@pytest.mark.parametrize("platform", ["auto", "cpu"])
def test_a_platform_that_is_there_has_devices(platform: str):
    assert {device.platform for device in pick_devices(platform)} == {"cpu"}


def test_a_platform_that_is_not_there_is_an_error_and_the_next_job_may_ask_for_another():
    with pytest.raises(MeshError) as error:
        pick_devices("tpu")
    message = str(error.value)
    assert message.startswith('platform = "tpu": JAX finds no such device on this machine (')
    assert message.endswith(
        '). Set machine.platform in params/machine.toml to "auto" or "cpu"; '
        "a TPU also needs `pip install -e '.[tpu]'`."
    )
    assert pick_devices("auto") == jax.devices()
