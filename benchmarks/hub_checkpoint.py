"""A checkpoint of random weights in the hub's layout: every sub-folder, the transformer in shards with an index."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from stages.denoise.config import TRANSFORMER_CLASS, TransformerConfig, as_arguments
from stages.denoise.torch_bridge import weight_shapes
from stages.models.places import resolve

_STEM = "diffusion_pytorch_model"
_SCALE = 0.02  # of random weights, about that of trained ones
_ITEM_BYTES = 2  # bfloat16


def write_hub_checkpoint(folder: Path, config: TransformerConfig, *, shard_bytes: int) -> None:
    """Write it. All but the transformer is the built-in checkpoint's; the transformer's weights are bfloat16.

    Args:
        folder: is made.
        config: of the transformer.
        shard_bytes: what a shard holds at most, as long as it holds more than one tensor.
    """
    builtin = resolve("builtin:shapes", "", Path()).folder
    shutil.copytree(builtin, folder, ignore=shutil.ignore_patterns("transformer", "README.md"))
    transformer = folder / "transformer"
    transformer.mkdir()
    settings = {"_class_name": TRANSFORMER_CLASS, **as_arguments(config)}
    (transformer / "config.json").write_text(json.dumps(settings, indent=2))
    shards = list(_split(all_shapes(config), shard_bytes))
    random = np.random.default_rng(0)
    weight_map: dict[str, str] = {}
    for number, shapes in enumerate(shards, start=1):
        name = f"{_STEM}-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {
            key: (random.standard_normal(shape, np.float32) * np.float32(_SCALE)).astype(ml_dtypes.bfloat16)
            for key, shape in shapes.items()
        }
        save_file(tensors, transformer / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shapes, name)
    total = sum(_size_bytes(shape) for shapes in shards for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (transformer / f"{_STEM}.safetensors.index.json").write_text(json.dumps(index, indent=2))


def all_shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of the transformer's files by name."""
    in_blocks, outside = weight_shapes(config)
    layers = range(config.num_layers)
    return {
        **outside,
        **{f"transformer_blocks.{layer}.{name}": shape for layer in layers for name, shape in in_blocks.items()},
    }


def _split(shapes: Mapping[str, tuple[int, ...]], shard_bytes: int) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if shard and sum(map(_size_bytes, shard.values())) + _size_bytes(shape) > shard_bytes:
            yield shard
            shard = {}
        shard[name] = shape
    yield shard


def _size_bytes(shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _ITEM_BYTES
