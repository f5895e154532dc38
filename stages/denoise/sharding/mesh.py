"""The mesh: which chips work together, and the one table that says how arrays are spread over them.

Owns the sizes of the mesh axes, and the table from logical axes to them. Other modules name logical axes only. How a
layout is written down is in stages/machine/mesh_layout.py, what chips send each other in collectives.py. Reasons and
figures: docs/decisions/0016.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stages.errors import MeshError
from stages.machine.mesh_layout import AUTO, AXES, NUM_BRANCHES, fold_layout, parse_layout

_FIX = "Set machine.mesh in params/machine.toml"

MESH_AXES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "layers": (),
    "whole": (),
    "branches": ("cfg",),
    "tokens": ("sequence",),
    "heads": ("heads",),  # an axis of a weight that a head makes or reads: each chip works with its part
    "stored": ("cfg", "sequence"),  # another axis of such a weight, which is put together when it is used
    "rest": AXES,  # an axis of a weight that is put together when it is used, and whole then
    "modulations": AXES,  # an axis of a weight of which each chip makes its part of the result
})  # fmt: skip


def build_mesh(layout: str, devices: Sequence[jax.Device], *, num_heads: int, is_guided: bool) -> Mesh:
    """Arrange devices; surplus ones are not used.

    Args:
        layout: sizes of the axes `AXES`, such as "2x4x1", or "auto", see `choose_layout`.
        devices: at least one, as `pick_devices` returns them, or those of a topology.
        num_heads: of the transformer.
        is_guided: whether there are two branches; without, chips of `cfg` take part in `sequence`.
    Raises:
        MeshError: the layout is not three sizes, wants more devices than there are, or does not split the heads.
    """
    if layout == AUTO:
        shape = choose_layout(len(devices), num_heads=num_heads, is_guided=is_guided)
    else:
        _check_size(layout, parse_layout(layout), num_devices=len(devices))
        shape = fold_layout(layout, num_heads=num_heads, is_guided=is_guided)
    used = devices[: math.prod(shape)]
    # so that neighbours on a mesh axis are neighbours on the wires between chips
    return Mesh(mesh_utils.create_device_mesh(shape, used, allow_split_physical_axes=True), AXES)


def choose_layout(num_devices: int, *, num_heads: int, is_guided: bool) -> tuple[int, int, int]:
    """The layout that uses most of the devices, and among those the one that sends the fewest bytes per step.

    Branches of guidance send each other nothing but velocities, so they come first; then tokens. `heads` stays 1:
    tokens that change places with heads cost less than sums over hidden channels, whatever the length of the video.
    """
    num_branches = NUM_BRANCHES if is_guided and num_devices >= NUM_BRANCHES else 1
    best = max(size for size in range(1, num_devices // num_branches + 1) if num_heads % size == 0)
    return (num_branches, best, 1)


def max_devices(*, num_heads: int, is_guided: bool) -> int:
    """As many devices as a layout can have: each branch of guidance has no more than the transformer has heads."""
    return num_heads * (NUM_BRANCHES if is_guided else 1)


def sharding(mesh: Mesh, *logical_axes: str) -> NamedSharding:
    """Where an array with these axes goes; axes that are not named are never split."""
    return NamedSharding(mesh, spec(*logical_axes))


def spec(*logical_axes: str) -> PartitionSpec:
    """The mesh axes of an array with these logical axes."""
    return PartitionSpec(*(MESH_AXES[axis] or None for axis in logical_axes))


def num_parts(mesh: Mesh, logical_axis: str) -> int:
    """Into how many parts an axis is split."""
    return math.prod(mesh.shape[axis] for axis in MESH_AXES[logical_axis])


def _check_size(layout: str, shape: tuple[int, int, int], *, num_devices: int) -> None:
    if math.prod(shape) > num_devices:
        raise MeshError(
            f'mesh "{layout}" wants {math.prod(shape)} devices, but there are {num_devices}. {_FIX} to "auto", or to '
            "sizes whose product is no larger."
        )
