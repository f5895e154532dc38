"""Trains the autoencoder. What the decoder learns afterwards, alone, is in `decoder.py`."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import (
    AutoencoderKLHunyuanVideo15,
    HunyuanVideo15AttnBlock,
)
from torch.nn import functional

from stages.geometry import LATENT_CHANNELS
from training.shapes.draw import Scene, Video, draw, random_scene
from training.shapes.loop import Phase, run_phase
from training.shapes.optim import MuonAdam
from training.shapes.vocabulary import training_combinations

MUON_LR, ADAM_LR = 1.5e-3, 2e-3
DECAY_FROM = 0.4
CROP_STEPS = 1100  # the first phase begins on crops: every crop has an edge in it
CLIP_STEPS = 900  # and ends on whole clips, because the mid-block attends to all of a clip
CROP_PX, CROP_FRAMES, CROP_BATCH = 32, 5, 16
CLIP_BATCH = 2
LATENT_NOISE = 0.1  # deviation; takes the place of sampling the posterior
OBJECT_WEIGHT = 4.0  # extra weight of pixels on the object and up to EDGE_PX around it
EDGE_PX = 2
MOMENT_WEIGHT = 0.02  # pulls the latents' mean and deviation per channel to 0 and 1
LOG_VARIANCE = 2 * float(np.log(LATENT_NOISE))


@functools.cache
def causal_mask(num_frames: int, tokens_per_frame: int, dtype: torch.dtype) -> torch.Tensor:
    """[s, s]: 0 where a token may look (its own frame and earlier ones), -inf elsewhere."""
    frame = torch.arange(num_frames * tokens_per_frame) // tokens_per_frame
    return torch.zeros(len(frame), len(frame), dtype=dtype).masked_fill(frame[None] > frame[:, None], -torch.inf)


@contextmanager
def fast_masks() -> Iterator[None]:
    """Meanwhile, diffusers' mid-block has a cached mask: its own is built by a Python loop and breaks for batch > 1."""

    def prepare(num_frames: int, hw: int, dtype: torch.dtype, *_: Any, **__: Any) -> torch.Tensor:
        return causal_mask(num_frames, hw, dtype)

    own = HunyuanVideo15AttnBlock.prepare_causal_attention_mask
    HunyuanVideo15AttnBlock.prepare_causal_attention_mask = staticmethod(prepare)
    try:
        yield
    finally:
        HunyuanVideo15AttnBlock.prepare_causal_attention_mask = staticmethod(own)


def to_model(videos: list[Video]) -> torch.Tensor:
    """[f, h, w, c] in 0..1 each -> [b, c, f, h, w], float32 in -1..1."""
    return torch.from_numpy(np.stack(videos)).permute(0, 4, 1, 2, 3).contiguous() * 2 - 1


def random_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    """Scenes of random training combinations."""
    combinations = training_combinations()
    return [random_scene(combinations[i], rng) for i in rng.integers(len(combinations), size=count)]


def random_clips(rng: np.random.Generator, count: int) -> list[Video]:
    """Videos of random training combinations."""
    return [draw(scene) for scene in random_scenes(rng, count)]


def random_crops(rng: np.random.Generator, count: int) -> list[Video]:
    """`CROP_FRAMES` frames of `CROP_PX` squares out of random videos, placed so that the object is in or near.

    A crop's first frame may be any frame of its video: to the model it is then a first frame.
    """
    crops = []
    for clip in random_clips(rng, count):
        first = int(rng.integers(clip.shape[0] - CROP_FRAMES + 1))
        frames = clip[first : first + CROP_FRAMES]
        seen = np.argwhere(np.abs(frames - frames[0, 0, 0]).sum(axis=(0, 3)) > 0.1)
        center = seen[rng.integers(len(seen))]
        top, left = np.clip(center - CROP_PX // 2, 0, clip.shape[1] - CROP_PX)
        crops.append(frames[:, top : top + CROP_PX, left : left + CROP_PX])
    return crops


def pixel_weight(videos: torch.Tensor) -> torch.Tensor:
    """[b, 1, f, h, w]: 1 on plain background, 1 + OBJECT_WEIGHT on and around the object; mean 1.

    "Around" is where the colour changes within EDGE_PX; the object is what differs from the top left pixel.
    """
    window = (1, 2 * EDGE_PX + 1, 2 * EDGE_PX + 1)
    padding = (0, EDGE_PX, EDGE_PX)
    differs = ((videos - videos[:, :, :1, :1, :1]).abs().sum(1, keepdim=True) > 0.1).float()
    weight = 1 + OBJECT_WEIGHT * functional.max_pool3d(differs, window, stride=1, padding=padding)
    return weight / weight.mean()


def reconstruction_loss(decoded: torch.Tensor, videos: torch.Tensor) -> torch.Tensor:
    """Weighted L1 + 2 L2 over values in -1..1."""
    error = decoded - videos
    return (pixel_weight(videos) * (error.abs() + 2 * error.square())).mean()


def psnr(decoded: torch.Tensor, videos: torch.Tensor) -> torch.Tensor:
    """[b], dB: peak signal to noise per video, both in -1..1, for a range of 1 after mapping to 0..1."""
    error = (decoded.clamp(-1, 1) - videos) / 2
    return -10 * error.square().mean(dim=(1, 2, 3, 4)).log10()


def train_modules(
    vae: AutoencoderKLHunyuanVideo15,
    phase: Phase,
    *,
    parts: list[torch.nn.Module],
    loss_of: Callable[[int], tuple[torch.Tensor, dict[str, float]]],
    muon_lr: float,
    adam_lr: float,
) -> None:
    """Run a phase in which the parameters of `parts`, modules of `vae`, learn from `loss_of(step)`."""
    parameters = [parameter for part in parts for parameter in part.parameters()]
    is_matrix = [p.ndim >= 2 and min(p.flatten(1).shape) > 1 for p in parameters]
    optimizer = MuonAdam(
        [p for p, yes in zip(parameters, is_matrix, strict=True) if yes],
        [p for p, yes in zip(parameters, is_matrix, strict=True) if not yes],
        muon_lr=muon_lr,
        adam_lr=adam_lr,
    )

    def train_step(step: int) -> dict[str, float]:
        optimizer.set_progress(step, phase.num_steps, decay_from=DECAY_FROM)
        loss, figures = loss_of(step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return figures

    run_phase(phase, {"vae": vae, "optimizer": optimizer}, train_step)


def autoencoder_phase(work: Path, *, seed: int) -> Phase:
    """Encoder and decoder together."""
    return Phase("vae", CROP_STEPS + CLIP_STEPS, seed, work, {"muon_lr": MUON_LR, "adam_lr": ADAM_LR})


def train_autoencoder(vae: AutoencoderKLHunyuanVideo15, phase: Phase) -> None:
    """`CROP_STEPS` on crops, then `CLIP_STEPS` on whole clips."""

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng = phase.rng(step)
        drawn = random_crops(rng, CROP_BATCH) if step < CROP_STEPS else random_clips(rng, CLIP_BATCH)
        videos = to_model(drawn)
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = vae.encoder(videos).float().split(LATENT_CHANNELS, dim=1)
            noise = torch.randn(mean.shape, generator=phase.generator(step))
            decoded = vae.decoder(mean + LATENT_NOISE * noise).float()
        loss = reconstruction_loss(decoded, videos)
        figures = {"loss": loss.item(), "psnr": psnr(decoded.detach(), videos).mean().item()}
        return loss + MOMENT_WEIGHT * moment_loss(mean, log_variance), figures

    parts: list[torch.nn.Module] = [vae.encoder, vae.decoder]
    train_modules(vae, phase, parts=parts, loss_of=loss_of, muon_lr=MUON_LR, adam_lr=ADAM_LR)


def moment_loss(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Takes the KL's place: 0 when each channel has mean 0 and deviation 1, and the variance is that of the noise."""
    axes = (0, 2, 3, 4)
    moments = mean.mean(axes).square().mean() + (mean.std(axes) - 1).square().mean()
    return moments + (log_variance - LOG_VARIANCE).square().mean()
