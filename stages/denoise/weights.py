"""The DiT's weights: from a checkpoint's files to JAX arrays, without a second copy of them in memory.

Owns the names, and the form in which the blocks' weights are kept: one array for all blocks.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from numpy.typing import NDArray

from stages.denoise import torch_bridge
from stages.denoise.config import TransformerConfig
from stages.denoise.mesh import sharding
from stages.tensors import DTYPES, WeightFiles
from stages.weight_check import Shape, check_weights

_BLOCKS = "transformer_blocks"
_UNUSED = (
    "image_embedder."  # text-to-video masks the 729 image tokens; the weights must be in the files, and stay there
)
_ALIGNMENT = 64  # bytes; JAX on CPU takes over a numpy buffer without copying when it is aligned so


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DiTWeights:
    """All weights that denoising reads, in the model dtype.

    blocks: by name within a block, [layers, ...].
    rest: by full name.
    """

    blocks: Mapping[str, Float[Array, "..."]]
    rest: Mapping[str, Float[Array, "..."]]


def load_weights(
    files: WeightFiles,
    config: TransformerConfig,
    *,
    dtype: str,
    mesh: Mesh,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> DiTWeights:
    """Read the weights tensor by tensor.

    Args:
        files: the component `transformer`.
        config: its settings.
        dtype: "bfloat16" or "float32"; weights stored in another float dtype are cast.
        mesh: where the arrays go.
        progress: called with (bytes placed, bytes in all) after each array.
    Raises:
        CheckpointError: names or shapes differ from what the settings want; all of them are listed.
    """
    block_shapes, rest_shapes = torch_bridge.weight_shapes(config)
    check_weights(files, _expected(block_shapes, rest_shapes, config.num_layers))
    depth = config.num_layers
    blocks: dict[str, Array] = {}
    rest: dict[str, Array] = {}
    plan: list[tuple[dict[str, Array], str, list[str], Shape]] = []
    plan += [(blocks, name, _layer_names(name, depth), (depth, *shape)) for name, shape in block_shapes.items()]
    plan += [(rest, name, [name], shape) for name, shape in rest_shapes.items() if not name.startswith(_UNUSED)]
    total = sum(math.prod(shape) for *_, shape in plan) * DTYPES[dtype].itemsize
    done = 0
    for group, name, stored_names, shape in plan:
        axes = ("layers", "weights") if group is blocks else ("weights",)
        group[name] = jax.device_put(_read_stacked(files, stored_names, shape, DTYPES[dtype]), sharding(mesh, *axes))
        done += group[name].nbytes
        progress(done, total)
    return DiTWeights(blocks=blocks, rest=rest)


def part(weights: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The weights of one part of the module, by their names within it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _layer_names(name: str, num_layers: int) -> list[str]:
    return [f"{_BLOCKS}.{layer}.{name}" for layer in range(num_layers)]


def _expected(block_shapes: Mapping[str, Shape], rest_shapes: Mapping[str, Shape], num_layers: int) -> dict[str, Shape]:
    stacked = {full: shape for name, shape in block_shapes.items() for full in _layer_names(name, num_layers)}
    return {**rest_shapes, **stacked}


def _read_stacked(files: WeightFiles, names: list[str], shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Tensors one after another in one new buffer of `shape`."""
    buffer = _empty_aligned(shape, dtype)
    for row, name in zip(buffer.reshape(len(names), -1), names, strict=True):
        row[:] = files.read(name).reshape(-1)
    return buffer


def _empty_aligned(shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    size_bytes = math.prod(shape) * dtype.itemsize
    raw = np.empty(size_bytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size_bytes].view(dtype).reshape(shape)
