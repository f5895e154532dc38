"""From the parameters of a preflight node to the stage's program, and to the arithmetic that it cannot do without."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from stages.component_config import Settings
from stages.decode.config import DecoderConfig, check_geometry, parse_config
from stages.decode.plan import ChunkPlan, lower_chunk
from stages.denoise.config import parse_transformer_config
from stages.denoise.mesh import build_mesh
from stages.denoise.plan import StepPlan, lower_step, step_flops
from stages.executables import Program
from stages.geometry import LatentSize

_KERNEL = 27  # taps of a causal convolution, 3 x 3 x 3
_MULTIPLY_ADD = 2


@dataclass(frozen=True)
class Lowered:
    """A program with what nobody but its stage knows of it.

    Attributes:
        program: not compiled.
        flops: floating-point operations of a call that cannot be left out, on all devices together.
        mesh: how its devices are arranged, for people.
        num_devices: that take part.
        num_states: states that exist at a time: a video that is decoded in tiles has one for each.
    """

    program: Program
    flops: float
    mesh: str
    num_devices: int
    num_states: int = 1


def lower(parameters: Mapping[str, Any], devices: Sequence[jax.Device]) -> Lowered:
    """The program that a node of forecast.py describes.

    Raises:
        CheckpointError: the checkpoint's settings are not those of a model that can be run.
        MeshError: the devices cannot be arranged so.
    """
    size = LatentSize(parameters["num_frames"], parameters["height"], parameters["width"])
    if parameters["stage"] == "denoise":
        return _lower_denoise(parameters, size, devices)
    return _lower_decode(parameters, size, devices)


def _lower_denoise(parameters: Mapping[str, Any], size: LatentSize, devices: Sequence[jax.Device]) -> Lowered:
    plan = StepPlan(
        config=parse_transformer_config(Settings(Path("transformer/config.json"), parameters["config"])),
        size=size,
        num_prompt_tokens=parameters["num_prompt_tokens"],
        num_glyph_tokens=parameters["num_glyph_tokens"],
        is_guided=parameters["is_guided"],
        dtype=parameters["dtype"],
        window_size=parameters["window_size"],
    )
    num_heads = plan.config.num_attention_heads
    mesh = build_mesh(parameters["mesh"], devices, num_heads=num_heads, is_guided=plan.is_guided)
    shape = "x".join(map(str, mesh.devices.shape))
    return Lowered(lower_step(plan, mesh), step_flops(plan), shape, mesh.devices.size)


def _lower_decode(parameters: Mapping[str, Any], size: LatentSize, devices: Sequence[jax.Device]) -> Lowered:
    where = Path("vae/config.json")
    config = parse_config(Settings(where, parameters["config"]))
    check_geometry(config, where=where)
    program = lower_chunk(ChunkPlan(config, size, parameters["dtype"]), devices)
    num_devices = len(jax.tree.leaves(program.weights)[0].sharding.device_set)
    num_tiles = parameters["num_tiles"]
    return Lowered(program, chunk_flops(config, size) * num_tiles, str(num_devices), num_devices, num_tiles)


def chunk_flops(config: DecoderConfig, size: LatentSize) -> float:
    """Operations in the matrix products and convolutions of a later latent frame, of the mean one in attention."""
    cells, channels = size.height * size.width, config.block_channels[0]
    resnet = 2 * _KERNEL * channels**2
    macs: float = cells * (_KERNEL * config.latent_channels * channels + 2 * resnet + 4 * channels**2)
    macs += 2 * cells**2 * channels * (size.num_frames + 1) / 2
    for block in config.up_blocks:
        first = _KERNEL * (block.in_channels + block.out_channels) * block.out_channels
        first += block.in_channels * block.out_channels if block.in_channels != block.out_channels else 0
        macs += cells * (first + (block.num_resnets - 1) * 2 * _KERNEL * block.out_channels**2)
        if block.upsample_channels:
            macs += cells * _KERNEL * block.out_channels * block.upsample_channels * block.upsample_factor
            cells *= block.upsample_factor
    macs += cells * _KERNEL * config.block_channels[-1] * config.out_channels
    return _MULTIPLY_ADD * macs
