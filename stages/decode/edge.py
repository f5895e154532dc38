"""Edge of the decode stage: latents in, `frames.safetensors` out, latent frame by latent frame.

The native decoder is used here; stages/diffusers_decode uses others, with the same files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from numpy.typing import NDArray

from stages.decode.config import NUM_COLORS
from stages.decode.decoder import Decoder
from stages.decode.strips import count_used
from stages.decode.tiling import Tiling, choose_grid
from stages.geometry import LatentSize, video_size
from stages.keys import JsonValue
from stages.machine.executables import Executable, Executables, Program, describe_compiling
from stages.models.checkpoint import Checkpoint
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import FRAMES, LATENTS
from stages.run.accelerator import open_devices
from stages.run.job import Job, Run
from stages.run.report import Report
from stages.tensors.files import TensorWriter, read_tensors


def open_stage() -> Run:
    """The stage for one process; it keeps the decoder for the next job."""
    return DecodeStage().run


class DecodeStage:
    """Decodes one job after another, and holds the decoder of the last one."""

    def __init__(self) -> None:
        """Nothing is loaded before the first job."""
        self._decoder: Decoder | None = None

    def run(self, job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        """Decode a node's latents by the native decoder, on all devices of the platform.

        Returns:
            For run.json: the kind of device, how many hold a part of each frame, and how the programs were got.
        """
        parameters: Mapping[str, Any] = job.parameters
        latents = read_latents(job)
        with report.phase("load"):
            devices = tuple(open_devices(job, report))
            decoder = self._load(job.checkpoint, parameters["dtype"], devices)
        tiling = Tiling.from_parameters(parameters)
        with report.phase("compile"):
            executables, compiled = Executables(job.store, warn=report.warn), list[Executable]()

            def compile_program(program: Program) -> Executable:
                compiled.append(executables.compile(program))
                return compiled[-1]

            pieces = decoder.stream(latents, tiling=tiling, compile_program=compile_program)
        write_frames(pieces, latents, draft, report)
        size = LatentSize(*latents.shape[2:])
        grid = choose_grid(size.height, size.width, tiling, spatial_compression=decoder.config.spatial_compression)
        num_devices = count_used(min(grid.tile_size, size.width), devices)
        return {"device": devices[0].device_kind, "num_devices": num_devices, **describe_compiling(compiled)}

    def _load(self, checkpoint: Checkpoint, dtype: str, devices: Sequence[jax.Device]) -> Decoder:
        """The decoder of the job before, if it is the same; else that one is let go first: both may not fit."""
        if self._decoder is None or not self._decoder.is_of(checkpoint, dtype=dtype, devices=devices):
            self._decoder = None
            self._decoder = Decoder.load(checkpoint, dtype=dtype, devices=devices)
        return self._decoder


def read_latents(job: Job) -> NDArray[Any]:
    """The latents, [1, 32, f, h, w], that a node decodes.

    Raises:
        ContractError: the file does not hold what it should.
    """
    source = job.input(LATENTS)
    tensors = read_tensors(source)
    check_shapes(LATENTS, {name: array.shape for name, array in tensors.items()}, where=job.name_input(LATENTS))
    return tensors["latents"]


def write_frames(pieces: Iterator[NDArray[Any]], latents: NDArray[Any], draft: Path, report: Report) -> None:
    """Write the frames of a node, [n, H, W, 3] of one latent frame after the other, as they come."""
    size = LatentSize(*latents.shape[2:])
    video = video_size(size)
    shape = (1, video.num_frames, video.height, video.width, NUM_COLORS)
    path = draft / FRAMES.payload
    with report.phase("decode"), TensorWriter(path, "frames", shape=shape, dtype="bfloat16") as writer:
        for index, frames in enumerate(pieces):
            writer.append(frames)
            report.progress(index + 1, size.num_frames, "latent frame")
