"""Turns drawn videos into the latents that the transformer is trained on, once, and keeps them in a file."""

import logging
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from tqdm import tqdm

from training.shapes.dit import LatentSet
from training.shapes.draw import draw, random_scene
from training.shapes.models import LATENT_CHANNELS
from training.shapes.vae import to_model
from training.shapes.vocabulary import Combination, training_combinations

log = logging.getLogger(__name__)

SCENES_PER_COMBINATION = 24  # each with its own jitter
ENCODE_BATCH = 9
CACHE_NAME = "latents.pt"


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
    """The training set in DiT space, from the cache in `work` or made."""
    combinations = training_combinations() * SCENES_PER_COMBINATION
    cache = work / CACHE_NAME
    if not cache.exists():
        raw = encode_scenes(vae, combinations, seed=seed)
        torch.save(raw, cache.with_suffix(".tmp"))
        cache.with_suffix(".tmp").replace(cache)
        log.info("latents: %d, mean %.3f, deviation %.3f", len(raw), float(raw.mean()), float(raw.std()))
    raw = torch.load(cache, weights_only=True)
    return LatentSet(raw * load_scaling_factor(work), combinations)


def load_scaling_factor(work: Path) -> float:
    """What makes the deviation of all cached latents 1, as the flow from unit noise expects."""
    return round(1 / float(torch.load(work / CACHE_NAME, weights_only=True).std()), 4)
