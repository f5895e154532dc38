"""Samples videos in batches with the training's own forward pass, and scores them with `metric.py`.

The figures of record are measured through the project's stages; this is for sweeps and for the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from stages.geometry import VideoSize, latent_size
from training.shapes.dit import predict_velocity
from training.shapes.draw import Video
from training.shapes.metric import read_video
from training.shapes.text import TextSide, embed_prompts
from training.shapes.vocabulary import Combination

BATCH = 30


@dataclass(frozen=True)
class SamplingSettings:
    """How to walk from noise to latents; no units."""

    num_inference_steps: int
    guidance_scale: float
    flow_shift: float


@dataclass(frozen=True)
class Score:
    """Shares, 0..1, of videos with the attribute right; `overlap` is the mean of `Reading.overlap`."""

    shape: float
    color: float
    motion: float
    background: float
    all_four: float
    overlap: float


def plain_prompt(combination: Combination) -> str:
    """The sentence that stands for a combination in evaluations."""
    moves = "stays still" if combination.motion == "still" else f"moves {combination.motion}"
    return f"a {combination.color} {combination.shape} {moves} on a {combination.background} background"


@torch.no_grad()
def sample_latents(
    dit: HunyuanVideo15Transformer3DModel,
    text: TextSide,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    settings: SamplingSettings,
    size: VideoSize,
) -> torch.Tensor:
    """One set of latents per prompt, [b, c, f, h, w] in DiT space, as the pipeline's loop makes them.

    Args:
        seeds: of each prompt's own noise, drawn as the pipeline draws it for a batch of one in float32.
    """
    _, *shape = latent_size(size).shape
    latents = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    scheduler = FlowMatchEulerDiscreteScheduler(shift=settings.flow_shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, settings.num_inference_steps + 1)[:-1])
    conditions = embed_prompts(text, prompts), embed_prompts(text, [""] * len(prompts))
    for index, timestep in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[index].expand(len(prompts))
        velocity = predict_velocity(dit, latents, sigma, conditions[0])
        if settings.guidance_scale != 1:
            empty = predict_velocity(dit, latents, sigma, conditions[1])
            velocity = empty + settings.guidance_scale * (velocity - empty)
        latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
    return latents


@torch.no_grad()
def decode_latents(vae: AutoencoderKLHunyuanVideo15, latents: torch.Tensor) -> list[Video]:
    """Latents in DiT space, [b, c, f, h, w] -> per video [f, h, w, 3], float32 in 0..1."""
    videos = vae.decoder(latents / float(vae.config["scaling_factor"])).float()
    return list(((videos.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 4, 1).numpy())


def sample_videos(
    dit: HunyuanVideo15Transformer3DModel,
    vae: AutoencoderKLHunyuanVideo15,
    text: TextSide,
    prompts: Sequence[str],
    *,
    settings: SamplingSettings,
    size: VideoSize,
) -> list[Video]:
    """One video per prompt; the seed is the prompt's place in the list."""
    videos: list[Video] = []
    for first in range(0, len(prompts), BATCH):
        batch = prompts[first : first + BATCH]
        latents = sample_latents(dit, text, batch, range(first, first + len(batch)), settings=settings, size=size)
        videos += decode_latents(vae, latents)
    return videos


def score(videos: Sequence[Video], expected: Sequence[Combination]) -> Score:
    """Compare what the videos show with what they should."""
    readings = [read_video(video) for video in videos]
    names = [field.name for field in fields(Combination)]
    right = np.array(
        [
            [getattr(reading.combination, name) == getattr(wanted, name) for name in names]
            for reading, wanted in zip(readings, expected, strict=True)
        ]
    )
    shares = {name: float(share) for name, share in zip(names, right.mean(axis=0), strict=True)}
    overlap = float(np.mean([reading.overlap for reading in readings]))
    return Score(**shares, all_four=float(right.all(axis=1).mean()), overlap=overlap)
