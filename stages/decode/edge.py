"""Edge of the decode stage: latents in, `frames.safetensors` out, latent frame by latent frame.

`run` decodes by the native decoder; stages/diffusers_decode has others for the same edge.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from stages.component_config import read_settings
from stages.contracts import CONTRACTS, check_shapes
from stages.decode.config import DecoderConfig, check_geometry, parse_config
from stages.decode.stream import decode_video, to_stored
from stages.decode.tiling import TileGrid, one_tile, plan_tiles
from stages.decode.weights import load_weights
from stages.devices import pick_devices
from stages.finite import require_finite
from stages.geometry import LatentSize, video_size
from stages.held_model import HeldModel
from stages.job import Job, Report
from stages.keys import JsonValue
from stages.tensors import TensorWriter, read_tensors

Latents: TypeAlias = Float[Array, "1 f h w c"]
Frames: TypeAlias = Float[Array, "f_px h_px w_px rgb"]
Progress: TypeAlias = Callable[[int, int, str], None]
# Latents in DiT space, the grid, and where to tell (done, total, unit) of what comes before the first frames. Gives the
# frames of one latent frame after the other, not clamped.
Decode: TypeAlias = Callable[[Latents, TileGrid, Progress], Iterator[Frames]]
# The VAE's folder, its sizes, "float32" or "bfloat16", and where to decode.
LoadDecoder: TypeAlias = Callable[[Path, DecoderConfig, str, jax.Device], Decode]

_HELD: HeldModel[Decode] = HeldModel()  # the next job of this process mostly wants the same weights


def run(job: Job, draft: Path, report: Report) -> Mapping[str, JsonValue]:
    """Decode a node's latents by the native decoder."""
    return decode_node(job, draft, report, load=_load)


def decode_node(job: Job, draft: Path, report: Report, *, load: LoadDecoder) -> Mapping[str, JsonValue]:
    """Decode a node's latents, frame by frame into the file, by the decoder that `load` gives for its parameters."""
    parameters: Mapping[str, Any] = job.node.parameters
    source, vae = job.input("denoise"), job.component("vae")
    tensors = read_tensors(source)
    check_shapes("denoise", {name: array.shape for name, array in tensors.items()}, where=str(source))
    with report.phase("load"):
        device = pick_devices(job.machine["platform"])[0]
        config = _read_config(vae / "config.json")
        dtype = parameters["dtype"]
        decode = _HELD.get((vae, parameters["decoder"], dtype, device), lambda: load(vae, config, dtype, device))
    latents = LatentSize(*tensors["latents"].shape[2:])
    grid = _choose_grid(latents, parameters, config)
    pieces = decode(jnp.moveaxis(tensors["latents"], 1, -1), grid, report.progress)
    size = video_size(latents)
    shape = (1, size.num_frames, size.height, size.width, config.out_channels)
    path = draft / CONTRACTS["decode"].payload
    with report.phase("decode"), TensorWriter(path, "frames", shape=shape, dtype="bfloat16") as writer:
        for index, frames in enumerate(pieces):
            what = f"frames of latent frame {index}"
            require_finite(frames, what=what, parameter="decode.dtype", dtype=dtype, checkpoint=vae)
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


def _load(folder: Path, config: DecoderConfig, dtype: str, device: jax.Device) -> Decode:
    weights = load_weights(folder, config, dtype=dtype, device=device)
    return lambda latents, grid, _: decode_video(weights, latents, config=config, grid=grid, device=device)
