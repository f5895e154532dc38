"""The DiT's weights: from a checkpoint's files to JAX arrays, on each chip only its part, without a second copy.

Owns the names, and the form in which the blocks' weights are kept: one array for all blocks. How they are spread over
chips is said in layouts.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array
from numpy.typing import NDArray

from stages.denoise import torch_bridge
from stages.denoise.config import UNREAD, TransformerConfig
from stages.denoise.sharding.layouts import Layout, block_layouts, rest_layouts
from stages.models.weights import check_weights
from stages.tensors.dtypes import DTYPES, Shape
from stages.tensors.weight_files import WeightFiles

_BLOCKS = "transformer_blocks"
_ALIGNMENT = 64  # bytes; JAX on CPU takes over a numpy buffer without copying when it is aligned so
Leaf = TypeVar("Leaf")  # an array, or what stands for one: its shape, its mesh axes
Index: TypeAlias = tuple[slice, ...]  # of a part of an array: a slice per axis


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DiTWeights(Generic[Leaf]):
    """All weights that denoising reads, in the model dtype.

    blocks: by name within a block, [layers, ...].
    rest: by full name.
    """

    blocks: Mapping[str, Leaf]
    rest: Mapping[str, Leaf]


def weight_layouts(config: TransformerConfig, mesh: Mesh) -> tuple[dict[str, Layout], dict[str, Layout]]:
    """How a block's weights and those outside the blocks are spread; raises MeshError when they cannot be."""
    block_shapes, rest_shapes = _used_shapes(config)
    return block_layouts(block_shapes, mesh), rest_layouts(rest_shapes, mesh)


def weight_specs(config: TransformerConfig, mesh: Mesh) -> DiTWeights[PartitionSpec]:
    """The mesh axes of each weight. Raises MeshError when it cannot be spread so."""
    in_blocks, outside = weight_layouts(config, mesh)
    return DiTWeights(
        blocks={name: layout.stacked for name, layout in in_blocks.items()},
        rest={name: layout.spec for name, layout in outside.items()},
    )


def describe_weights(config: TransformerConfig, mesh: Mesh, *, dtype: str) -> DiTWeights[jax.ShapeDtypeStruct]:
    """Shape, dtype and sharding of each weight; nothing is read.

    Args:
        config: of the checkpoint.
        mesh: over which they are spread.
        dtype: "bfloat16" or "float32".
    Raises:
        MeshError: the weights do not split over the mesh.
    """
    block_shapes, rest_shapes = _used_shapes(config)
    shapes = DiTWeights[Shape](
        blocks={name: (config.num_layers, *shape) for name, shape in block_shapes.items()}, rest=rest_shapes
    )

    def describe(spec: PartitionSpec, shape: Shape) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, DTYPES[dtype], sharding=NamedSharding(mesh, spec))

    described: DiTWeights[jax.ShapeDtypeStruct] = jax.tree.map(describe, weight_specs(config, mesh), shapes)
    return described


def load_weights(
    files: WeightFiles,
    config: TransformerConfig,
    *,
    dtype: str,
    mesh: Mesh,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> DiTWeights[Array]:
    """Read the weights, array by array, and of each what the chips of this process hold.

    Args:
        files: the component `transformer`.
        config: its settings.
        dtype: "bfloat16" or "float32"; weights stored in another float dtype are cast.
        mesh: where the arrays go.
        progress: called with (bytes placed, bytes in all) after each array; all processes' bytes.
    Raises:
        CheckpointError: names or shapes differ from what the settings want; all of them are listed.
        MeshError: the weights do not split over the mesh.
    """
    block_shapes, rest_shapes = torch_bridge.weight_shapes(config)
    check_weights(files, _expected(block_shapes, rest_shapes, config.num_layers))
    plan = describe_weights(config, mesh, dtype=dtype)
    total = sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(plan))
    done = 0

    def load(described: jax.ShapeDtypeStruct, read: Callable[[Index], NDArray[Any]]) -> Array:
        nonlocal done
        array: Array = jax.make_array_from_callback(described.shape, described.sharding, read)  # type: ignore[arg-type] # an index is never None
        array.block_until_ready()
        done += array.size * array.dtype.itemsize
        progress(done, total)
        return array

    def read_layers(name: str, index: Index) -> NDArray[Any]:
        return _read_stacked(files, _layer_names(name, config.num_layers), DTYPES[dtype], index[1:])

    def read_one(name: str, index: Index) -> NDArray[Any]:
        return _read_stacked(files, [name], DTYPES[dtype], index)[0]

    return DiTWeights(
        blocks={name: load(array, partial(read_layers, name)) for name, array in plan.blocks.items()},
        rest={name: load(array, partial(read_one, name)) for name, array in plan.rest.items()},
    )


def part(items: Mapping[str, Leaf], name: str) -> dict[str, Leaf]:
    """What belongs to one part of the module, by the names within it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in items.items() if key.startswith(prefix)}


def _used_shapes(config: TransformerConfig) -> tuple[Mapping[str, Shape], Mapping[str, Shape]]:
    block_shapes, rest_shapes = torch_bridge.weight_shapes(config)
    return block_shapes, {name: shape for name, shape in rest_shapes.items() if not name.startswith(UNREAD)}


def _layer_names(name: str, num_layers: int) -> list[str]:
    return [f"{_BLOCKS}.{layer}.{name}" for layer in range(num_layers)]


def _expected(block_shapes: Mapping[str, Shape], rest_shapes: Mapping[str, Shape], num_layers: int) -> dict[str, Shape]:
    stacked = {full: shape for name, shape in block_shapes.items() for full in _layer_names(name, num_layers)}
    return {**rest_shapes, **stacked}


def _read_stacked(files: WeightFiles, names: Sequence[str], dtype: np.dtype[Any], index: Index) -> NDArray[Any]:
    """The part `index` of each of some tensors of one shape, one after another in one new buffer."""
    sizes = files.shapes[names[0]]
    shape = tuple(len(range(*part.indices(size))) for part, size in zip(index, sizes, strict=True))
    buffer = _empty_aligned((len(names), *shape), dtype)
    for row, name in zip(buffer, names, strict=True):
        row[...] = files.read(name, index)
    return buffer


def _empty_aligned(shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    size_bytes = math.prod(shape) * dtype.itemsize
    raw = np.empty(size_bytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size_bytes].view(dtype).reshape(shape)
