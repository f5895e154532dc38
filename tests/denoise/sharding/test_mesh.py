"""Which devices make which mesh, by layout and by choice, and what is said of layouts that cannot be."""

import json
import math

import jax
import pytest
from jax.sharding import PartitionSpec

from stages.denoise.sharding.mesh import build_mesh, choose_layout, max_devices, num_parts, sharding
from stages.errors import MeshError
from tests.devices import EIGHT_DEVICES, run_python

ON_EIGHT_DEVICES = """
import json, jax
from stages.denoise.sharding.mesh import build_mesh
def shape(layout, num_devices=8, num_heads=16, is_guided=True):
    mesh = build_mesh(layout, jax.devices()[:num_devices], num_heads=num_heads, is_guided=is_guided)
    return [*mesh.shape.values(), mesh.devices.flatten().tolist() == jax.devices()[: mesh.size]]
print(json.dumps([shape("auto"), shape("2x2x2"), shape("2x2x2", is_guided=False), shape("1x3x2", num_heads=12)]))
"""


def test_one_device_makes_a_mesh_with_all_axes():
    mesh = build_mesh("auto", jax.devices()[:1], num_heads=16, is_guided=True)
    assert dict(mesh.shape) == {"cfg": 1, "sequence": 1, "heads": 1}


def test_layouts_take_the_first_of_eight_devices_and_fold_branches_that_are_not_there():
    printed = run_python("-c", ON_EIGHT_DEVICES, settings=EIGHT_DEVICES)
    assert json.loads(printed) == [[2, 4, 1, True], [2, 2, 2, True], [1, 4, 2, True], [1, 3, 2, True]]


@pytest.mark.parametrize(
    ("num_devices", "num_heads", "is_guided", "layout"),
    [
        (1, 16, True, (1, 1, 1)),
        (4, 16, True, (2, 2, 1)),
        (8, 16, True, (2, 4, 1)),
        (8, 16, False, (1, 8, 1)),
        (6, 16, True, (2, 2, 1)),  # three do not divide 16 heads: two devices are left alone
        (6, 12, True, (2, 3, 1)),
        (64, 16, True, (2, 16, 1)),
        (3, 16, True, (2, 1, 1)),
    ],
)
def test_the_default_layout_puts_branches_first_and_then_tokens(num_devices, num_heads, is_guided, layout):
    assert choose_layout(num_devices, num_heads=num_heads, is_guided=is_guided) == layout


@pytest.mark.parametrize(("is_guided", "most"), [(True, 32), (False, 16)])
def test_no_layout_has_more_devices_than_branches_times_heads(is_guided: bool, most: int):
    assert max_devices(num_heads=16, is_guided=is_guided) == most
    layouts = (choose_layout(number, num_heads=16, is_guided=is_guided) for number in range(1, 100))
    assert max(math.prod(layout) for layout in layouts) == most


@pytest.mark.parametrize("layout", ["", "8", "1x1", "1x1x1x1", "0x1x1", "-1x1x1", "1x1xa", "1x1x²"])
def test_a_layout_that_is_not_three_sizes_is_an_error(layout: str):
    assert refuse(layout) == (
        f'mesh {layout!r} is not "auto" and not three sizes above 0 (cfg x sequence x heads), such as "2x4x1". '
        "Set machine.mesh in params/machine.toml."
    )


def test_a_layout_of_more_devices_than_there_are_is_an_error():
    assert refuse("2x4x1") == (
        'mesh "2x4x1" wants 8 devices, but there are 1. Set machine.mesh in params/machine.toml to "auto", or to sizes '
        "whose product is no larger."
    )


def test_a_layout_of_more_branches_than_guidance_has_is_an_error():
    assert refuse("4x1x1", num_devices=4) == (
        'mesh "4x1x1": guidance has 2 branches. Set machine.mesh in params/machine.toml to a cfg of 1 or 2.'
    )


def test_a_layout_that_does_not_split_the_heads_is_an_error():
    assert refuse("1x3x1", num_devices=4) == (
        'mesh "1x3x1": 16 heads do not split over 3 devices (sequence x heads). Set machine.mesh in '
        "params/machine.toml to sizes whose product divides 16."
    )


def test_branches_that_are_not_there_count_for_the_heads():
    assert refuse("2x1x16", num_devices=32, is_guided=False) == (
        'mesh "2x1x16": 16 heads do not split over 32 devices (cfg, which has no branches without '
        "guidance, x sequence x heads). Set machine.mesh in params/machine.toml to sizes whose product divides 16."
    )


def refuse(layout: str, *, num_devices: int = 1, is_guided: bool = True) -> str:
    """The message for a layout; devices are not looked at before it is refused."""
    with pytest.raises(MeshError) as error:
        build_mesh(layout, jax.devices()[:1] * num_devices, num_heads=16, is_guided=is_guided)
    return str(error.value)


def test_an_axis_that_is_on_every_chip_is_not_split():
    mesh = build_mesh("auto", jax.devices()[:1], num_heads=16, is_guided=True)
    assert sharding(mesh, "layers", "whole", "heads").spec == PartitionSpec(None, None, ("heads",))
    assert num_parts(mesh, "rest") == 1


def test_an_unknown_logical_axis_is_refused():
    with pytest.raises(KeyError):
        sharding(build_mesh("auto", jax.devices()[:1], num_heads=16, is_guided=True), "colours")
