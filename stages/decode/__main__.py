"""Edge of the decode stage: latents in, `frames.safetensors` out."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from stages.contracts import CONTRACTS, check_shapes
from stages.decode.config import DecoderConfig
from stages.decode.decoder import DecoderWeights
from stages.decode.stream import decode_video, to_stored
from stages.decode.tiling import one_tile, plan_tiles
from stages.decode.weights import load_config, load_weights
from stages.geometry import LatentSize, video_size
from stages.job import Job, Report, serve
from stages.keys import JsonValue
from stages.tensors import TensorWriter, read_tensors


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents, frame by frame into the file."""
    parameters: Mapping[str, Any] = job.node.parameters
    source = job.input("denoise")
    tensors = read_tensors(source)
    check_shapes("denoise", {name: array.shape for name, array in tensors.items()}, where=str(source))
    with report.phase("load"):
        device = _first_device(job.machine["platform"])
        config, weights = _load(job.component("vae"), parameters["dtype"], device)
    latents = LatentSize(*tensors["latents"].shape[2:])
    grid = one_tile(latents.height, latents.width)
    if parameters["enable_tiling"]:
        grid = plan_tiles(
            latents.height,
            latents.width,
            tile_size_px=parameters["tile_size"],
            tile_overlap=parameters["tile_overlap"],
            spatial_compression=config.spatial_compression,
        )
    pieces = decode_video(weights, jnp.moveaxis(tensors["latents"], 1, -1), config=config, grid=grid, device=device)
    size = video_size(latents)
    shape = (1, size.num_frames, size.height, size.width, config.out_channels)
    path = draft / CONTRACTS["decode"].payload
    with report.phase("decode"), TensorWriter(path, "frames", shape=shape, dtype="bfloat16") as writer:
        for index, frames in enumerate(pieces):
            writer.append(np.asarray(to_stored(frames)))
            report.progress(index + 1, latents.num_frames, "latent frame")
    return {"device": device.device_kind}


def _first_device(platform: str) -> jax.Device:
    if platform != "auto":
        jax.config.update("jax_platforms", platform)
    return jax.devices()[0]


@lru_cache(maxsize=1)  # the next job of this process mostly wants the same model
def _load(folder: Path, dtype: str, device: jax.Device) -> tuple[DecoderConfig, DecoderWeights[Array]]:
    config = load_config(folder)
    return config, load_weights(folder, config, dtype=dtype, device=device)


if __name__ == "__main__":
    serve(run)
