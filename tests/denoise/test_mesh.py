"""One device makes a mesh, however many there are; more are refused, and messages say what to set."""

import subprocess
import sys

import jax
import pytest
from jax.sharding import PartitionSpec

from stages.denoise.mesh import build_mesh, sharding
from stages.errors import MeshError

ON_EIGHT_DEVICES = """
import jax
from stages.denoise.mesh import build_mesh
devices = jax.devices()
assert len(devices) == 8
print([build_mesh(layout, devices).devices.flatten().tolist() == devices[:1] for layout in ("auto", "1x1x1")])
"""


@pytest.mark.parametrize("layout", ["auto", "1x1x1"])
def test_one_device_makes_a_mesh_with_all_axes(layout: str):
    mesh = build_mesh(layout, jax.devices()[:1])
    assert dict(mesh.shape) == {"cfg": 1, "sequence": 1, "heads": 1}


def test_the_first_of_eight_devices_is_taken():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", ON_EIGHT_DEVICES]
    result = subprocess.run(command, env=flags, capture_output=True, text=True, check=False)
    assert result.stdout == "[True, True]\n", result.stderr


@pytest.mark.parametrize("num_devices", [1, 8])
def test_a_layout_of_several_devices_is_refused_whatever_there_is(num_devices: int):
    with pytest.raises(MeshError) as error:
        build_mesh("2x2x2", jax.devices()[:1] * num_devices)
    assert str(error.value) == (
        'mesh "2x2x2" wants 8 devices, but so far a video is denoised on one. '
        'Set machine.mesh in params/machine.toml to "1x1x1" or "auto".'
    )


@pytest.mark.parametrize("layout", ["", "8", "1x1", "1x1x1x1", "0x1x1", "-1x1x1", "1x1xa", "1x1x²"])
def test_a_layout_that_is_not_three_sizes_is_an_error(layout: str):
    with pytest.raises(MeshError) as error:
        build_mesh(layout, jax.devices()[:1])
    assert str(error.value) == (
        f'mesh {layout!r} is not "auto" and not three sizes above 0 (cfg x sequence x heads), such as "1x1x1". '
        "Set machine.mesh in params/machine.toml."
    )


def test_no_axis_is_split_so_far():
    mesh = build_mesh("auto", jax.devices())
    assert sharding(mesh, "layers", "weights").spec == PartitionSpec(None, None)


def test_an_unknown_logical_axis_is_refused():
    with pytest.raises(KeyError):
        sharding(build_mesh("auto", jax.devices()), "colours")
