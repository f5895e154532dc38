"""Edge of the decode stage: latents in, `frames.safetensors` out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from stages.component_config import read_settings
from stages.contracts import CONTRACTS, check_shapes
from stages.decode.config import DecoderConfig, check_geometry, parse_config
from stages.decode.decoder import DecoderWeights
from stages.decode.stream import decode_video, to_stored
from stages.decode.tiling import TileGrid, one_tile, plan_tiles
from stages.decode.weights import load_weights
from stages.devices import pick_devices
from stages.finite import require_finite
from stages.geometry import LatentSize, video_size
from stages.held_model import HeldModel
from stages.job import Job, Report, serve
from stages.keys import JsonValue
from stages.tensors import TensorWriter, read_tensors

_HELD: HeldModel[DecoderWeights[Array]] = HeldModel()  # the next job of this process mostly wants the same weights


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents, frame by frame into the file."""
    parameters: Mapping[str, Any] = job.node.parameters
    source, vae = job.input("denoise"), job.component("vae")
    tensors = read_tensors(source)
    check_shapes("denoise", {name: array.shape for name, array in tensors.items()}, where=str(source))
    with report.phase("load"):
        device = pick_devices(job.machine["platform"])[0]
        config = _read_config(vae / "config.json")
        weights = _HELD.get(
            (vae, parameters["dtype"], device),
            lambda: load_weights(vae, config, dtype=parameters["dtype"], device=device),
        )
    latents = LatentSize(*tensors["latents"].shape[2:])
    grid = _choose_grid(latents, parameters, config)
    pieces = decode_video(weights, jnp.moveaxis(tensors["latents"], 1, -1), config=config, grid=grid, device=device)
    size = video_size(latents)
    shape = (1, size.num_frames, size.height, size.width, config.out_channels)
    path = draft / CONTRACTS["decode"].payload
    with report.phase("decode"), TensorWriter(path, "frames", shape=shape, dtype="bfloat16") as writer:
        for index, frames in enumerate(pieces):
            what = f"frames of latent frame {index}"
            require_finite(frames, what=what, parameter="decode.dtype", dtype=parameters["dtype"], checkpoint=vae)
            writer.append(np.asarray(to_stored(frames)))
            report.progress(index + 1, latents.num_frames, "latent frame")
    return {"device": device.device_kind}


def _read_config(file: Path) -> DecoderConfig:
    config = parse_config(read_settings(file))
    check_geometry(config, where=file)
    return config


def _choose_grid(latents: LatentSize, parameters: Mapping[str, Any], config: DecoderConfig) -> TileGrid:
    if not parameters["enable_tiling"]:
        return one_tile(latents.height, latents.width)
    return plan_tiles(
        latents.height,
        latents.width,
        tile_size_px=parameters["tile_size"],
        tile_overlap=parameters["tile_overlap"],
        spatial_compression=config.spatial_compression,
    )


if __name__ == "__main__":
    serve(run)
