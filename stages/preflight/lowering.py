"""From the parameters of a preflight node to the stage's program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from stages.component_config import Settings
from stages.decode.config import check_geometry, parse_config
from stages.decode.plan import ChunkPlan, lower_chunk, lower_first
from stages.denoise.config import parse_transformer_config
from stages.denoise.mesh import build_mesh
from stages.denoise.plan import StepPlan, lower_step
from stages.executables import Program
from stages.geometry import LatentSize


@dataclass(frozen=True)
class Lowered:
    """A program with what nobody but its stage knows of it.

    Attributes:
        program: not compiled.
        mesh: how its devices are arranged, for people.
        num_devices: that take part.
        num_tiles: of a video that is decoded in tiles: each has a state and is a call.
    """

    program: Program
    mesh: str
    num_devices: int
    num_tiles: int = 1


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
    return Lowered(lower_step(plan, mesh), shape, mesh.devices.size)


def _lower_decode(parameters: Mapping[str, Any], size: LatentSize, devices: Sequence[jax.Device]) -> Lowered:
    where = Path("vae/config.json")
    config = parse_config(Settings(where, parameters["config"]))
    check_geometry(config, where=where)
    lower_frame = lower_chunk if size.num_frames > 1 else lower_first  # an image has no other latent frame
    program = lower_frame(ChunkPlan(config, size, parameters["dtype"]), devices)
    num_devices = len(jax.tree.leaves(program.weights)[0].sharding.device_set)
    return Lowered(program, str(num_devices), num_devices, parameters["num_tiles"])
