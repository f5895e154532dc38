"""The mesh: which chips work together, and the one table that says how arrays are spread over them.

Owns the names of the mesh axes and the way from logical axes to them. Other modules name logical axes only.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stages.errors import MeshError

AXES = ("cfg", "sequence", "heads")  # guidance branches; video tokens; attention heads and hidden channels
_SINGLE = (1, 1, 1)

# None: each chip holds the whole axis.
MESH_AXIS: Mapping[str, str | None] = MappingProxyType(
    {"guidance": None, "video_tokens": None, "text_tokens": None, "layers": None, "weights": None}
)


def build_mesh(layout: str, devices: Sequence[jax.Device]) -> Mesh:
    """Arrange devices.

    Args:
        layout: sizes of the axes `AXES`, such as "1x1x1", or "auto": the first device alone.
        devices: at least one, as `jax.devices()` returns them.
    Raises:
        MeshError: the layout is not three sizes, or wants another number of devices.
    """
    if layout == "auto":
        return Mesh(np.array(devices[:1]).reshape(_SINGLE), AXES)
    sizes = layout.split("x")
    if len(sizes) != len(AXES) or not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
        raise MeshError(
            f'mesh {layout!r} is not "auto" and not three sizes above 0 ({" x ".join(AXES)}), such as "1x1x1". '
            "Set mesh in params/machine.toml."
        )
    shape = tuple(int(size) for size in sizes)
    if np.prod(shape) != len(devices):
        raise MeshError(
            f'mesh "{layout}" wants {np.prod(shape)} devices, this machine has {len(devices)}. '
            'Set mesh in params/machine.toml to sizes whose product is that, or to "auto".'
        )
    return Mesh(np.array(devices).reshape(shape), AXES)


def sharding(mesh: Mesh, *logical_axes: str | None) -> NamedSharding:
    """Where an array with these axes goes; None is an axis that is never split. Missing axes count as None."""
    mesh_axes = (MESH_AXIS[axis] if axis else None for axis in logical_axes)
    return NamedSharding(mesh, PartitionSpec(*mesh_axes))
