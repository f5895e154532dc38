"""Turns drawn videos into the latents that the transformer is trained on, once, and keeps them in a file."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from tqdm import tqdm

from stages.geometry import LATENT_CHANNELS
from training.shapes.dit import LatentSet
from training.shapes.draw import draw, random_scene
from training.shapes.vae import to_model
from training.shapes.vocabulary import Combination, training_combinations

log = logging.getLogger(__name__)

SCENES_PER_COMBINATION = 24  # each with its own jitter
ENCODE_BATCH = 9


@torch.no_grad()
def encode_scenes(
    vae: AutoencoderKLHunyuanVideo15, combinations: tuple[Combination, ...], *, seed: int
) -> torch.Tensor:
    """The posterior's mean of one random scene each: [n, c, f, h, w], float32, not scaled."""
    rng, parts = np.random.default_rng(seed), []
    for first in tqdm(range(0, len(combinations), ENCODE_BATCH), desc="latents"):
        scenes = [random_scene(combination, rng) for combination in combinations[first : first + ENCODE_BATCH]]
        with torch.autocast("cpu", torch.bfloat16):
            moments = vae.encoder(to_model([draw(scene) for scene in scenes]))
        parts.append(moments[:, :LATENT_CHANNELS].float())
    return torch.cat(parts)


def load_latents(vae: AutoencoderKLHunyuanVideo15, *, seed: int, work: Path) -> LatentSet:
    """The training set in DiT space: made by `vae`'s encoder, or from the file in `work` that it has made before."""
    combinations = training_combinations() * SCENES_PER_COMBINATION
    cache = work / f"latents-{_origin(vae, combinations, seed)}.pt"
    if not cache.exists():
        raw = encode_scenes(vae, combinations, seed=seed)
        torch.save(raw, cache.with_suffix(".tmp"))
        cache.with_suffix(".tmp").replace(cache)
        log.info("latents: %d, mean %.3f, deviation %.3f", len(raw), float(raw.mean()), float(raw.std()))
    raw = torch.load(cache, weights_only=True)
    scaling_factor = round(1 / float(raw.std()), 4)  # the flow from unit noise expects a deviation of 1
    return LatentSet(raw * scaling_factor, combinations, scaling_factor)


def _origin(vae: AutoencoderKLHunyuanVideo15, combinations: tuple[Combination, ...], seed: int) -> str:
    """A hash of all that the latents come from."""
    digest = hashlib.sha256(repr((seed, combinations)).encode())
    for name, weight in vae.encoder.state_dict().items():
        digest.update(name.encode() + weight.float().numpy().tobytes())
    return digest.hexdigest()[:12]
