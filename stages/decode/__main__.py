"""Edge of the decode stage: the native decoder."""

from collections.abc import Mapping
from pathlib import Path

import jax

from stages.decode.config import DecoderConfig
from stages.decode.edge import Decode, decode_node
from stages.decode.stream import decode_video
from stages.decode.weights import load_weights
from stages.job import Job, Report
from stages.keys import JsonValue
from stages.program import main


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents."""
    return decode_node(job, draft, report, load=_load)


def _load(folder: Path, config: DecoderConfig, dtype: str, device: jax.Device) -> Decode:
    weights = load_weights(folder, config, dtype=dtype, device=device)
    return lambda latents, grid, _: decode_video(weights, latents, config=config, grid=grid, device=device)


if __name__ == "__main__":
    main(run, __package__)
