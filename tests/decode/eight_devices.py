"""Toy videos decoded on one and on eight virtual CPU devices: a program, because their number is set at the start.

    python -m tests.decode.eight_devices VAE OUT

Writes to OUT, as .npz, the frames of each video by one and by eight devices, and prints as JSON what one of the eight
holds of the state.
"""

import json
import sys
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from stages.decode.forward import FramePrograms, decode_chunk, initial_state
from stages.decode.plan import ChunkPlan, Devices, compile_programs, compile_tiles
from stages.decode.stream import decode_video
from stages.decode.strips import place
from stages.decode.tiling import one_tile, plan_tiles
from stages.decode.weights import load_weights
from stages.geometry import LatentSize
from stages.machine.executables import Program
from tests.decode.builders import load_config, random_latents, vae_weights

NUM_FRAMES, HEIGHT = 3, 2
# Latent columns of eight devices: two each; or two each of six, one of the seventh, none of the last.
WIDTHS = (16, 13)
CHUNKS = ((1, 1, 1), (3,), (1, 2), (2, 1))
TILED_WIDTH = 25  # in tiles of 16 columns, 13 and one, of which only the last needs further programs


@cache
def compile_here(devices: Devices, plan: ChunkPlan) -> FramePrograms:
    """Both programs, for these devices, a tuple."""
    return compile_programs(plan, devices=devices, compile_program=Program.compile)


def decode_chunks(folder: Path, width: int, devices: Devices) -> dict[str, np.ndarray]:
    """All frames of a video, by the sizes of the chunks; prints the share of the state that a device holds."""
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=devices)
    programs = compile_here(devices, ChunkPlan(config, LatentSize(NUM_FRAMES, HEIGHT, width), "float32"))
    latents = jax.device_put(jnp.moveaxis(random_latents(NUM_FRAMES, HEIGHT, width), 1, -1), place(devices))
    results = {}
    for chunks in CHUNKS:
        state, pieces = initial_state(NUM_FRAMES), []
        for end, size in zip(np.cumsum(chunks), chunks, strict=True):
            state, frames = decode_chunk(weights, state, latents[:, end - size : end], programs=programs)
            pieces.append(np.asarray(frames[0]))
        results[str(chunks)] = np.concatenate(pieces)
    arrays = jax.tree.leaves(state.memory)
    held = sum(array.addressable_shards[0].data.nbytes for array in arrays)
    whole = sum(array.nbytes for array in arrays)
    print(json.dumps({"width": width, "devices": len(devices), "held": held, "whole": whole}))
    return results


def decode_tiles(folder: Path, devices: Devices) -> np.ndarray:
    """All frames of a video that is decoded in tiles."""
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="float32", devices=devices)
    latents = jnp.moveaxis(random_latents(NUM_FRAMES, HEIGHT, TILED_WIDTH), 1, -1)
    grid = plan_tiles(
        HEIGHT, TILED_WIDTH, tile_size_px=64, tile_overlap=0.25, spatial_compression=config.spatial_compression
    )
    assert grid != one_tile(HEIGHT, TILED_WIDTH)
    plan = ChunkPlan(config, LatentSize(NUM_FRAMES, HEIGHT, TILED_WIDTH), "float32")
    programs = compile_tiles(plan, grid, partial(compile_here, devices))
    pieces = decode_video(weights, latents, config=config, grid=grid, devices=devices, programs=programs)
    return np.concatenate([np.asarray(piece) for piece in pieces])


def main(folder: Path, out: Path) -> None:
    """All widths and chunks, then tiles."""
    results = {}
    for devices in (tuple(jax.devices()[:1]), tuple(jax.devices())):
        for width in WIDTHS:
            for chunks, frames in decode_chunks(folder, width, devices).items():
                results[f"{len(devices)} {width} {chunks}"] = frames
        results[f"{len(devices)} tiles"] = decode_tiles(folder, devices)
    np.savez(out, **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
