"""Toy VAEs with random weights, and a way to run them here."""

import json
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from diffusers import AutoencoderKLHunyuanVideo15

from stages.decode.config import DecoderConfig, parse_config
from stages.decode.forward import FramePrograms
from stages.decode.plan import ChunkPlan, compile_programs, compile_tiles
from stages.decode.stream import decode_video
from stages.decode.tiling import TileGrid, one_tile
from stages.decode.weights import load_weights
from stages.geometry import LatentSize
from stages.machine.executables import Program
from stages.models.settings import read_settings
from stages.pipeline.decode import VAE
from stages.tensors.weight_files import WeightFiles
from tests.components import weights_of
from tests.quick_compiler import compile_quickly

DEVICE = jax.devices()[0]
TOY: dict[str, Any] = {
    "block_out_channels": (8, 8, 16, 32, 64),
    "layers_per_block": 1,  # two resnets per up block
    "scaling_factor": 0.9,
}

# Two upsamplers, both double time: 4 px and, but for the first, 4 frames per latent cell. Compiles in a second.
SMALL: dict[str, Any] = {
    "block_out_channels": (8, 16, 32),
    "layers_per_block": 0,
    "spatial_compression_ratio": 4,
    "temporal_compression_ratio": 4,
}


def build_vae(**changes: Any) -> AutoencoderKLHunyuanVideo15:
    """Diffusers' own module with random weights, large enough that frames are of order 1."""
    torch.manual_seed(0)
    vae = AutoencoderKLHunyuanVideo15(**(TOY | changes)).eval().requires_grad_(False)
    for name, weight in vae.named_parameters():
        if name.endswith("gamma"):
            weight.copy_(1 + 0.3 * torch.randn_like(weight))
        elif weight.ndim > 1:
            weight.mul_(1.5)
    return vae


def write_vae(folder: Path, **changes: Any) -> Path:
    """A VAE's folder, as diffusers writes it."""
    build_vae(**changes).save_pretrained(folder)
    return folder


def edit_config(folder: Path, **changes: Any) -> None:
    """Change values of a folder's config.json; None removes one."""
    values = json.loads((folder / "config.json").read_text()) | changes
    kept = {name: value for name, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def load_config(folder: Path) -> DecoderConfig:
    """Sizes of a folder's decoder."""
    return parse_config(read_settings(folder / "config.json"))


def vae_weights(folder: Path) -> WeightFiles:
    """Weights of a folder."""
    return weights_of(folder, VAE)


def random_latents(num_frames: int, height: int, width: int) -> np.ndarray:
    """[1, c, f, h, w], float32, deviation 1, as the store keeps them."""
    return np.random.default_rng(1).normal(size=(1, 32, num_frames, height, width)).astype(np.float32)


def compile_here(
    config: DecoderConfig, latents: np.ndarray, grid: TileGrid, *, dtype: str = "float32", as_in_a_run: bool = False
) -> Mapping[tuple[int, int], FramePrograms]:
    """What `decode_video` needs for latents, [1, f, h, w, c], on one device."""
    compile_size = partial(_compile_once, as_in_a_run=as_in_a_run)
    return compile_tiles(ChunkPlan(config, LatentSize(*latents.shape[1:4]), dtype), grid, compile_size)


@cache
def _compile_once(plan: ChunkPlan, *, as_in_a_run: bool) -> FramePrograms:
    """The programs for a size, which several tests decode."""
    compile_program = Program.compile if as_in_a_run else compile_quickly
    return compile_programs(plan, devices=[DEVICE], compile_program=compile_program)


def decode_here(
    folder: Path,
    latents: np.ndarray,
    *,
    dtype: str = "float32",
    grid: TileGrid | None = None,
    as_in_a_run: bool = False,
) -> np.ndarray:
    """All frames, [f, h, w, 3], float32, not clamped; to the bit those of a `Decoder` if compiled as in a run."""
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype=dtype, devices=[DEVICE])
    grid = grid or one_tile(*latents.shape[3:])
    channels_last = jnp.moveaxis(jnp.asarray(latents), 1, -1)
    programs = compile_here(config, channels_last, grid, dtype=dtype, as_in_a_run=as_in_a_run)
    pieces = decode_video(weights, channels_last, config=config, grid=grid, devices=[DEVICE], programs=programs)
    return np.concatenate([np.asarray(piece, np.float32) for piece in pieces])


def decode_there(vae: AutoencoderKLHunyuanVideo15, latents: np.ndarray) -> np.ndarray:
    """The same by diffusers, as its pipeline calls it."""
    scaled = torch.from_numpy(latents).to(vae.dtype) / vae.config.scaling_factor
    with torch.no_grad():
        frames = vae.decode(scaled, return_dict=False)[0]
    return frames[0].permute(1, 2, 3, 0).float().numpy()
