"""The mesh: which chips work together, and the one table that says how arrays are spread over them.

Owns the names of the mesh axes and the way from logical axes to them. Other modules name logical axes only. So far a
video is denoised on one chip: nothing is spread yet, and a layout of more is refused.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stages.errors import MeshError

AXES = ("cfg", "sequence", "heads")  # guidance branches; video tokens; attention heads and hidden channels
_SINGLE = (1, 1, 1)

# None: each chip holds the whole axis.
MESH_AXIS: Mapping[str, str | None] = MappingProxyType({"layers": None, "weights": None})


def build_mesh(layout: str, devices: Sequence[jax.Device]) -> Mesh:
    """Arrange the first devices; the others are left alone.

    Args:
        layout: sizes of the axes `AXES`, such as "1x1x1", or "auto", which is the same so far.
        devices: at least one, as `pick_devices` returns them.
    Raises:
        MeshError: the layout is not three sizes, or wants more than one device.
    """
    shape = _SINGLE if layout == "auto" else _parse_layout(layout)
    num_devices = math.prod(shape)
    if num_devices > 1:
        raise MeshError(
            f'mesh "{layout}" wants {num_devices} devices, but so far a video is denoised on one. '
            'Set machine.mesh in params/machine.toml to "1x1x1" or "auto".'
        )
    return Mesh(np.array(devices[:num_devices]).reshape(shape), AXES)


def sharding(mesh: Mesh, *logical_axes: str) -> NamedSharding:
    """Where an array with these axes goes; axes that are not named are never split."""
    return NamedSharding(mesh, PartitionSpec(*(MESH_AXIS[axis] for axis in logical_axes)))


def _parse_layout(layout: str) -> tuple[int, ...]:
    sizes = layout.split("x")
    if len(sizes) != len(AXES) or not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
        raise MeshError(
            f'mesh {layout!r} is not "auto" and not three sizes above 0 ({" x ".join(AXES)}), such as "1x1x1". '
            "Set machine.mesh in params/machine.toml."
        )
    return tuple(int(size) for size in sizes)
