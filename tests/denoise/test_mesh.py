"""Devices fit a layout, or the message says what does."""

import jax
import pytest
from jax.sharding import PartitionSpec

from stages.denoise.mesh import build_mesh, sharding
from stages.errors import MeshError


@pytest.mark.parametrize("layout", ["auto", "1x1x1"])
def test_one_device_makes_a_mesh_with_all_axes(layout: str):
    mesh = build_mesh(layout, jax.devices()[:1])
    assert dict(mesh.shape) == {"cfg": 1, "sequence": 1, "heads": 1}


def test_a_layout_for_other_machines_is_an_error():
    with pytest.raises(MeshError) as error:
        build_mesh("2x1x4", jax.devices()[:1])
    assert str(error.value) == (
        'mesh "2x1x4" wants 8 devices, this machine has 1. '
        'Set mesh in params/machine.toml to sizes whose product is that, or to "auto".'
    )


@pytest.mark.parametrize("layout", ["", "8", "1x1", "1x1x1x1", "0x1x1", "-1x1x1", "1x1xa", "1x1x²"])
def test_a_layout_that_is_not_three_sizes_is_an_error(layout: str):
    with pytest.raises(MeshError) as error:
        build_mesh(layout, jax.devices()[:1])
    assert str(error.value) == (
        f'mesh {layout!r} is not "auto" and not three sizes above 0 (cfg x sequence x heads), such as "1x1x1". '
        "Set mesh in params/machine.toml."
    )


def test_an_unnamed_axis_is_never_split():
    mesh = build_mesh("auto", jax.devices())
    assert sharding(mesh, "layers", None).spec == PartitionSpec(None, None)


def test_an_unknown_logical_axis_is_refused():
    with pytest.raises(KeyError):
        sharding(build_mesh("auto", jax.devices()), "colours")
