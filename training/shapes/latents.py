"""Turns drawn videos into the latents that the transformer is trained on, once, and keeps them in files.

All are as long as the longest video. The encoder is causal and a shorter video is the beginning of a longer one
(`draw.py`), so the first latent frames are those of a shorter video.
"""

import hashlib
import logging
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from tqdm import tqdm

from stages.geometry import LATENT_CHANNELS, VideoSize
from training.shapes.draw import draw, random_scene
from training.shapes.parallel import NUM_SHARDS, is_first, own_shards, wait_for_others
from training.shapes.sizes import MAX_FRAMES, SIDES_PX
from training.shapes.vae import to_model
from training.shapes.vocabulary import Combination, training_combinations

log = logging.getLogger(__name__)

CLIPS_PER_SQUARE, CLIPS_PER_OBLONG = 160, 60  # of each size, with random combinations and jitter
Sides = tuple[int, int]
"""Height and width of a picture, px."""


@dataclass(frozen=True)
class LatentSet:
    """The training set of the transformer.

    Attributes:
        latents: per size of picture, clean latents in DiT space, [n, c, f, h, w] float32, f of the longest video.
        combinations: per size, what each of the n shows.
        scaling_factor: the VAE's.
    """

    latents: dict[Sides, torch.Tensor]
    combinations: dict[Sides, tuple[Combination, ...]]
    scaling_factor: float


def clips_per_sides() -> dict[Sides, int]:
    """How many clips of each size the set has."""
    return {(h, w): CLIPS_PER_SQUARE if h == w else CLIPS_PER_OBLONG for h, w in product(SIDES_PX, SIDES_PX)}


def draw_combinations(sides: Sides, count: int, *, seed: int) -> tuple[Combination, ...]:
    """What the clips of one size show: `count` of the training combinations, all different where they suffice."""
    rng, everything = np.random.default_rng([seed, *sides]), training_combinations()
    return tuple(everything[index] for index in rng.permutation(len(everything))[:count])


@torch.no_grad()
def encode_sides(vae: AutoencoderKLHunyuanVideo15, sides: Sides, count: int, *, seed: int) -> torch.Tensor:
    """The posterior's means of clips of one size: [n, c, f, h, w], float32, not scaled."""
    rng, parts = np.random.default_rng([seed, *sides, 1]), []
    for combination in draw_combinations(sides, count, seed=seed):
        scene = random_scene(combination, rng, VideoSize(MAX_FRAMES, *sides))
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(vae.encoder(to_model([draw(scene)]))[:, :LATENT_CHANNELS].float())
    return torch.cat(parts)


def load_latents(vae: AutoencoderKLHunyuanVideo15, *, seed: int, work: Path) -> LatentSet:
    """The training set in DiT space: made by `vae`'s encoder, or from files in `work` that it has made before."""
    origin = _origin(vae, seed)
    files = [work / f"latents-{origin}-{shard}.pt" for shard in range(NUM_SHARDS)]
    for shard in own_shards():
        if not files[shard].exists():
            everything = list(clips_per_sides().items())[shard::NUM_SHARDS]
            shown = tqdm(everything, desc="latents", disable=not is_first())
            made = {sides: encode_sides(vae, sides, count, seed=seed) for sides, count in shown}
            torch.save(made, files[shard].with_suffix(".tmp"))
            files[shard].with_suffix(".tmp").replace(files[shard])
    wait_for_others()
    raw: dict[Sides, torch.Tensor] = {}
    for file in files:
        raw |= torch.load(file, weights_only=True)
    raw = {sides: raw[sides] for sides in clips_per_sides()}
    deviation = float(torch.cat([latents.flatten() for latents in raw.values()]).std())
    scaling_factor = round(1 / deviation, 4)  # the flow from unit noise expects a deviation of 1
    return LatentSet(
        {sides: latents * scaling_factor for sides, latents in raw.items()},
        {sides: draw_combinations(sides, len(latents), seed=seed) for sides, latents in raw.items()},
        scaling_factor,
    )


def _origin(vae: AutoencoderKLHunyuanVideo15, seed: int) -> str:
    """A hash of all that the latents come from, but for the code."""
    digest = hashlib.sha256(repr((seed, clips_per_sides(), training_combinations())).encode())
    for name, weight in vae.encoder.state_dict().items():
        digest.update(name.encode() + weight.float().numpy().tobytes())
    return digest.hexdigest()[:12]
