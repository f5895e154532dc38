"""Edge of the program that decodes by diffusers: the VAE that the parameter `decode.decoder` names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from stages.decode.edge import read_latents, write_frames
from stages.decode.tiling import Tiling
from stages.diffusers_decode.decoder import DiffusersDecoder
from stages.keys import JsonValue
from stages.models.checkpoint import Checkpoint
from stages.run.accelerator import open_devices
from stages.run.job import Job, Run
from stages.run.report import Report


def open_stage() -> Run:
    """The program for one process; it keeps the decoder for the next job."""
    return DiffusersDecodeStage().run


class DiffusersDecodeStage:
    """Decodes one job after another, and holds the decoder of the last one."""

    def __init__(self) -> None:
        """Nothing is loaded before the first job."""
        self._decoder: DiffusersDecoder | None = None

    def run(self, job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
        """Decode a node's latents.

        Returns:
            For run.json: the kind of device.
        """
        parameters: Mapping[str, Any] = job.parameters
        name = parameters["decoder"]
        latents = read_latents(job)
        with report.phase("load"):
            devices = open_devices(job, report)
            decoder = self._load(name, job.checkpoint, parameters["dtype"], devices)
        pieces = decoder.stream(latents, tiling=Tiling.from_parameters(parameters), progress=report.progress)
        write_frames(pieces, latents, draft, report)
        return {"device": "cpu" if name == "diffusers" else decoder.device.device_kind}

    def _load(self, name: str, checkpoint: Checkpoint, dtype: str, devices: Sequence[jax.Device]) -> DiffusersDecoder:
        """The decoder of the job before, if it is the same; else that one is let go first: both may not fit."""
        if self._decoder is None or not self._decoder.is_of(name, checkpoint, dtype=dtype, devices=devices):
            self._decoder = None
            self._decoder = DiffusersDecoder.load(name, checkpoint, dtype=dtype, devices=devices)
        return self._decoder
