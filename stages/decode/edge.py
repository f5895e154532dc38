"""Edge of the decode stage: latents in, `frames.safetensors` out, latent frame by latent frame.

`run` decodes by the native decoder; stages/diffusers_decode has others for the same edge.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stages.decode.config import DecoderConfig, check_geometry, parse_config
from stages.decode.forward import FramePrograms
from stages.decode.plan import ChunkPlan, Compile, Devices, compile_programs, compile_tiles
from stages.decode.stream import decode_video, to_stored
from stages.decode.strips import count_used
from stages.decode.tiling import TileGrid, choose_grid
from stages.decode.weights import load_weights
from stages.geometry import LatentSize, video_size
from stages.keys import JsonValue
from stages.machine.devices import pick_devices
from stages.machine.executables import Executables, Program
from stages.models.settings import read_settings
from stages.pipeline.contract import CONTRACTS, check_shapes
from stages.run.held_model import HeldModel
from stages.run.job import Job, Report
from stages.tensors.files import TensorWriter, read_tensors
from stages.tensors.finite import require_finite

Latents: TypeAlias = Float[Array, "1 f h w c"]
Frames: TypeAlias = Float[Array, "f_px h_px w_px rgb"]
# Latents in DiT space, the grid, and where to tell of what comes before the first frames. Gives the frames of one
# latent frame after the other, not clamped.
Decode: TypeAlias = Callable[[Latents, TileGrid, Report], Iterator[Frames]]
# The VAE's folder, its sizes, "float32" or "bfloat16", and the devices that may be used.
LoadDecoder: TypeAlias = Callable[[Path, DecoderConfig, str, Devices], Decode]

_HELD: HeldModel[Decode] = HeldModel()  # the next job of this process mostly wants the same weights


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents by the native decoder, on all devices of the platform."""
    executables = Executables(job.store, warn=report.warn)

    def compile_program(program: Program) -> jax.stages.Compiled:
        return executables.compile(program).compiled

    return decode_node(job, draft, report, load=partial(_load, compile_program=compile_program))


def decode_node(job: Job, draft: Path, report: Report, *, load: LoadDecoder) -> Mapping[str, JsonValue]:
    """Decode a node's latents, frame by frame into the file, by the decoder that `load` gives for its parameters.

    Returns:
        For run.json: the kind of device, and how many hold a part of each frame.
    """
    parameters: Mapping[str, Any] = job.node.parameters
    source, vae = job.input("denoise"), job.component("vae")
    tensors = read_tensors(source)
    check_shapes("denoise", {name: array.shape for name, array in tensors.items()}, where=str(source))
    with report.phase("load"):
        devices = tuple(pick_devices(job.machine["platform"]))
        config = _read_config(vae / "config.json")
        dtype = parameters["dtype"]
        decode = _HELD.get((vae, parameters["decoder"], dtype, devices), lambda: load(vae, config, dtype, devices))
    latents = LatentSize(*tensors["latents"].shape[2:])
    grid = choose_grid(latents.height, latents.width, parameters, spatial_compression=config.spatial_compression)
    pieces = decode(jnp.moveaxis(tensors["latents"], 1, -1), grid, report)
    size = video_size(latents)
    shape = (1, size.num_frames, size.height, size.width, config.out_channels)
    path = draft / CONTRACTS["decode"].payload
    with report.phase("decode"), TensorWriter(path, "frames", shape=shape, dtype="bfloat16") as writer:
        for index, frames in enumerate(pieces):
            what = f"frames of latent frame {index}"
            require_finite(frames, what=what, parameter="decode.dtype", dtype=dtype, checkpoint=vae)
            writer.append(np.asarray(to_stored(frames)))
            report.progress(index + 1, latents.num_frames, "latent frame")
    return {
        "device": devices[0].device_kind,
        "num_devices": count_used(min(grid.tile_size, latents.width), devices),
    }


def _read_config(file: Path) -> DecoderConfig:
    config = parse_config(read_settings(file))
    check_geometry(config, where=file)
    return config


def _load(folder: Path, config: DecoderConfig, dtype: str, devices: Devices, *, compile_program: Compile) -> Decode:
    """The native decoder: weights on all devices, and programs that are compiled once for each size."""
    weights = load_weights(folder, config, dtype=dtype, devices=devices)

    @cache
    def compile_size(plan: ChunkPlan) -> FramePrograms:
        return compile_programs(plan, devices=devices, compile_program=compile_program)

    def decode(latents: Latents, grid: TileGrid, report: Report) -> Iterator[Frames]:
        plan = ChunkPlan(config, LatentSize(*latents.shape[1:4]), dtype)
        with report.phase("compile"):
            programs = compile_tiles(plan, grid, compile_size)
        return decode_video(weights, latents, config=config, grid=grid, devices=devices, programs=programs)

    return decode
