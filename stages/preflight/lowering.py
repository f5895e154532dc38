"""From the parameters of a preflight node to the stage's program, and what is known of it before it is compiled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from stages.decode.config import check_geometry, parse_config
from stages.decode.plan import ChunkPlan, count_needs, lower_chunk, lower_first
from stages.decode.strips import count_used
from stages.decode.tiling import Tiling, choose_grid, count_tiles
from stages.denoise.config import parse_transformer_config
from stages.denoise.plan import StepPlan, lower_step
from stages.denoise.sharding.mesh import build_mesh
from stages.denoise.text_tokens import bucket_size
from stages.geometry import LatentSize
from stages.machine.executables import Program, Shapes
from stages.models.settings import Settings


@dataclass(frozen=True)
class Work:
    """What a call cannot do without, on a device: operations, and bytes it reads. A call: a step or latent frame."""

    flops: int
    read_bytes: int


@dataclass(frozen=True)
class Lowered:
    """A program with what nobody but its stage knows of it.

    Attributes:
        program: not compiled; of a video in tiles that of the largest tile.
        mesh: how its devices are arranged, for people.
        num_devices: that hold a part of the video.
        num_tiles: each is decoded by a call of its own.
        state_bytes: on a device, what all tiles keep between calls.
        growing_bytes: of these, what grows with the video's latent frames; None: all of the memory but the weights.
        flops: operations of a step or later latent frame (of an image, of the first), all devices together.
        first: the first call.
        later: each later one.
    """

    program: Program
    mesh: str
    num_devices: int
    num_tiles: int
    state_bytes: int
    growing_bytes: int | None
    flops: int
    first: Work
    later: Work


def lower(parameters: Mapping[str, Any], devices: Sequence[jax.Device]) -> Lowered:
    """The program that a node of preflight_questions.py describes.

    Raises:
        CheckpointError: the checkpoint's settings are not those of a model that can be run.
        MeshError: the devices cannot be arranged so.
    """
    size = LatentSize(parameters["num_frames"], parameters["height"], parameters["width"])
    if parameters["stage"] == "denoise":
        return _lower_denoise(parameters, size, devices)
    return _lower_decode(parameters, size, devices)


def bytes_on_device(shapes: Shapes) -> int:
    """Bytes of a tree of shapes on one device."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)
    )


def _lower_denoise(parameters: Mapping[str, Any], size: LatentSize, devices: Sequence[jax.Device]) -> Lowered:
    plan = StepPlan(
        config=parse_transformer_config(Settings(Path("transformer/config.json"), parameters["config"])),
        size=size,
        num_prompt_tokens=bucket_size(parameters["num_prompt_tokens"], num_video_tokens=size.num_cells),
        num_glyph_tokens=bucket_size(parameters["num_glyph_tokens"], num_video_tokens=size.num_cells),
        is_guided=parameters["is_guided"],
        dtype=parameters["dtype"],
        window_size=parameters["window_size"],
        has_bounded_scores=True,  # nothing is read of the weights
    )
    num_heads = plan.config.num_attention_heads
    mesh = build_mesh(parameters["mesh"], devices, num_heads=num_heads, is_guided=plan.is_guided)
    program = lower_step(plan, mesh)
    state_bytes = bytes_on_device(program.state)
    step = Work(program.flops // mesh.size, bytes_on_device(program.weights) + state_bytes)
    return Lowered(
        program,
        mesh="x".join(map(str, mesh.devices.shape)),
        num_devices=mesh.size,
        num_tiles=1,
        state_bytes=state_bytes,
        growing_bytes=None,
        flops=program.flops,
        first=step,
        later=step,
    )


def _lower_decode(parameters: Mapping[str, Any], size: LatentSize, devices: Sequence[jax.Device]) -> Lowered:
    where = Path("vae/config.json")
    config = parse_config(Settings(where, parameters["config"]))
    check_geometry(config, where=where)
    tiling = Tiling.from_parameters(parameters)
    grid = choose_grid(size.height, size.width, tiling, spatial_compression=config.spatial_compression)
    tiles = count_tiles(size.height, size.width, grid)
    plans = {tile: ChunkPlan(config, LatentSize(size.num_frames, *tile), parameters["dtype"]) for tile in tiles}
    needs = [(number, count_needs(plans[tile], devices)) for tile, number in tiles.items()]
    state_bytes = sum(number * bytes_on_device(need.memory) for number, need in needs)
    # keys and values of all latent frames; a call reads those of the frames before it
    cache_bytes = sum(number * bytes_on_device(need.memory.mid_attention) for number, need in needs if need.memory)
    first_flops = sum(number * need.first_flops for number, need in needs)
    later_flops = sum(number * need.later_flops for number, need in needs)
    largest = max(tiles)
    lower_frame = lower_chunk if size.num_frames > 1 else lower_first  # an image has no other latent frame
    program = lower_frame(plans[largest], devices)
    num_used = count_used(largest[1], devices)
    weight_bytes = bytes_on_device(program.weights)
    return Lowered(
        program,
        mesh=str(num_used),
        num_devices=num_used,
        num_tiles=tiles.total(),
        state_bytes=state_bytes,
        growing_bytes=cache_bytes,
        flops=later_flops or first_flops,
        first=Work(first_flops // len(devices), weight_bytes),
        later=Work(later_flops // len(devices), weight_bytes + state_bytes - cache_bytes),
    )
