"""Strips of columns: how a frame is spread over devices, and what a device gets from its neighbours.

Owns the one mesh axis of the decoder and the edges of a strip. What runs inside `jax.shard_map` sees its own strip,
[b, h, w, c]; rows, channels and time are never split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jaxtyping import Array, Bool, Float, Int

AXIS = "strips"
BY_COLUMN = PartitionSpec(None, None, AXIS)  # a frame, [b, h, w, c]; keys and values too, [b, f, s, c]
WHOLE = PartitionSpec()


@dataclass(frozen=True)
class Strips:
    """Strips of equal width, one for each device of a mesh; where a video's width does not divide, the end is filled.

    What is filled in, and what is computed from it, is dropped in the end. So that it changes nothing before that, it
    is made to repeat the frame's last column wherever a neighbour is looked at.

    Attributes:
        mesh: the devices, from left to right, on the axis `AXIS`.
        num_columns: of the whole frame, latent cells.
    """

    mesh: Mesh
    num_columns: int

    @property
    def size(self) -> int:
        """Latent columns of a strip."""
        return -(-self.num_columns // self.mesh.size)

    @property
    def num_filled(self) -> int:
        """Latent columns that lie beyond the frame's right edge."""
        return self.mesh.size * self.size - self.num_columns


def plan_strips(num_columns: int, devices: Sequence[jax.Device]) -> Strips | None:
    """The strips of a frame that is `num_columns` latent cells wide; None when there is one device for all of it."""
    return Strips(_line_up(devices), num_columns) if len(devices) > 1 else None


def count_used(num_columns: int, devices: Sequence[jax.Device]) -> int:
    """How many devices hold a column of a frame that is `num_columns` latent cells wide."""
    strips = plan_strips(num_columns, devices)
    return -(-num_columns // strips.size) if strips else 1


def place(devices: Sequence[jax.Device], spec: PartitionSpec = WHOLE) -> Sharding:
    """Where an array goes that all devices hold, or hold strips of (`BY_COLUMN`)."""
    if len(devices) == 1:
        return SingleDeviceSharding(devices[0])
    return NamedSharding(_line_up(devices), spec)


def fill(frame: Float[Array, "b h _ c"], strips: Strips) -> Float[Array, "b h _ c"]:
    """Repeat the last column of a whole latent frame until all strips are equally wide."""
    return jnp.pad(frame, ((0, 0), (0, 0), (0, strips.num_filled), (0, 0)), mode="edge")


def add_neighbours(strip: Float[Array, "b h w c"], strips: Strips) -> Float[Array, "b h w_padded c"]:
    """Put the next column of the strip to the left and of that to the right beside a strip.

    At the edges of the frame, that is its own outer column. Inside shard_map.

    Args:
        strip: this device's columns, `strips.size` of them or a multiple of that.
        strips: of the frame.
    Returns:
        [b, h, w + 2, c].
    """
    num, width, index = strips.mesh.size, strip.shape[2], jax.lax.axis_index(AXIS)
    last = _last_column(width, strips)
    if strips.num_filled:
        edge = jax.lax.dynamic_index_in_dim(strip, jnp.maximum(last, 0), axis=2)
        strip = jnp.where(is_inside(width, strips)[:, None], strip, edge)
    from_left = jax.lax.ppermute(strip[:, :, -1:], AXIS, [(i, i + 1) for i in range(num - 1)])
    from_right = jax.lax.ppermute(strip[:, :, :1], AXIS, [(i + 1, i) for i in range(num - 1)])
    left = jnp.where(index == 0, strip[:, :, :1], from_left)
    right = jnp.where(last < width, strip[:, :, -1:], from_right)
    return jnp.concatenate([left, strip, right], axis=2)


def is_inside(width: int, strips: Strips) -> Bool[Array, " w"]:
    """Which columns of this device's strip, `width` wide, are the frame's. Inside shard_map."""
    return jnp.arange(width) <= _last_column(width, strips)


def _line_up(devices: Sequence[jax.Device]) -> Mesh:
    """The devices from left to right."""
    return Mesh(np.array(devices), (AXIS,))


def _last_column(width: int, strips: Strips) -> Int[Array, ""]:
    """Where the frame's last column lies, counted from this strip's first: negative when to the left of the strip."""
    num_columns = strips.num_columns * (width // strips.size)
    return num_columns - 1 - jax.lax.axis_index(AXIS) * width
