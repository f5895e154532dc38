"""What both phases of the autoencoder, in `boxes.py` and `decoder.py`, are made of: layers, losses, the loop."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import (
    AutoencoderKLHunyuanVideo15,
    HunyuanVideo15AttnBlock,
    HunyuanVideo15RMS_norm,
)
from torch.nn import functional

from stages.geometry import VideoSize
from training.shapes.draw import Scene, Video, random_scene
from training.shapes.loop import Phase, run_phase
from training.shapes.optim import MuonAdam
from training.shapes.parallel import backward_shards, clear_gradients
from training.shapes.vocabulary import training_combinations

DECAY_FROM = 0.0  # of a phase's steps: its learning rates fall from the first on
LATENT_NOISE = 0.1  # deviation; takes the place of sampling the posterior
EDGE_WEIGHT = 8.0  # extra weight of pixels within EDGE_PX of an outline
EDGE_PX = 2
EDGE_CONTRAST = 0.2  # of -1..1, in one channel
LOG_VARIANCE = 2 * float(np.log(LATENT_NOISE))
NORM_EPSILON = 1e-12


@functools.lru_cache(maxsize=64)
def causal_mask(num_frames: int, tokens_per_frame: int, dtype: torch.dtype) -> torch.Tensor:
    """[s, s]: 0 where a token may look (its own frame and earlier ones), -inf elsewhere."""
    frame = torch.arange(num_frames * tokens_per_frame) // tokens_per_frame
    return torch.zeros(len(frame), len(frame), dtype=dtype).masked_fill(frame[None] > frame[:, None], -torch.inf)


@contextmanager
def fast_layers() -> Iterator[None]:
    """Meanwhile, two layers of diffusers' autoencoder are faster here.

    The mid-block has a cached mask: its own is built by a Python loop and breaks for batch > 1. The norm sums squares
    in the input's memory order, which takes a quarter off a step.
    """

    def prepare(num_frames: int, hw: int, dtype: torch.dtype, *_: Any, **__: Any) -> torch.Tensor:
        return causal_mask(num_frames, hw, dtype)

    def normalize(self: Any, x: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt((x * x).mean(1, keepdim=True, dtype=torch.float32) + NORM_EPSILON)
        normalized: torch.Tensor = x * scale.to(x.dtype) * self.gamma.to(x.dtype)
        return normalized

    own = HunyuanVideo15AttnBlock.prepare_causal_attention_mask, HunyuanVideo15RMS_norm.forward
    HunyuanVideo15AttnBlock.prepare_causal_attention_mask = staticmethod(prepare)
    HunyuanVideo15RMS_norm.forward = normalize
    try:
        yield
    finally:
        HunyuanVideo15AttnBlock.prepare_causal_attention_mask = staticmethod(own[0])
        HunyuanVideo15RMS_norm.forward = own[1]


def to_model(videos: list[Video]) -> torch.Tensor:
    """[f, h, w, c] in 0..1 each -> [b, c, f, h, w], float32 in -1..1."""
    return torch.from_numpy(np.stack(videos)).permute(0, 4, 1, 2, 3).contiguous() * 2 - 1


def random_scenes(rng: np.random.Generator, count: int, size: VideoSize) -> list[Scene]:
    """Scenes of random training combinations."""
    combinations = training_combinations()
    return [random_scene(combinations[i], rng, size) for i in rng.integers(len(combinations), size=count)]


def near_outline(videos: torch.Tensor, distance_px: int) -> torch.Tensor:
    """[b, 1, f, h, w], true within `distance_px` of a change of colour."""
    window = (1, 2 * distance_px + 1, 2 * distance_px + 1)
    padding = (0, distance_px, distance_px)
    highest = functional.max_pool3d(videos, window, stride=1, padding=padding)
    lowest = -functional.max_pool3d(-videos, window, stride=1, padding=padding)
    return (highest - lowest).amax(dim=1, keepdim=True) > EDGE_CONTRAST


def pixel_weight(videos: torch.Tensor, *, object_weight: float) -> torch.Tensor:
    """[b, 1, f, h, w]: 1 on plain ground, more on the object and within EDGE_PX of an outline; mean 1.

    Args:
        object_weight: extra weight of what differs from the top left pixel.
    """
    weight = 1 + EDGE_WEIGHT * near_outline(videos, EDGE_PX).float()
    if object_weight:
        differs = (videos - videos[:, :, :1, :1, :1]).abs().amax(dim=1, keepdim=True) > EDGE_CONTRAST
        weight = weight + object_weight * differs
    return weight / weight.mean()


def reconstruction_loss(decoded: torch.Tensor, videos: torch.Tensor, *, object_weight: float = 0.0) -> torch.Tensor:
    """Weighted L1 + 2 L2 over values in -1..1; the weight is that of `pixel_weight`."""
    error = decoded - videos
    return (pixel_weight(videos, object_weight=object_weight) * (error.abs() + 2 * error.square())).mean()


def train_modules(
    vae: AutoencoderKLHunyuanVideo15,
    phase: Phase,
    *,
    parts: list[torch.nn.Module],
    loss_of: Callable[[int, int], tuple[torch.Tensor, dict[str, float]]],
    muon_lr: float,
    adam_lr: float,
) -> None:
    """Run a phase in which the parameters of `parts`, modules of `vae`, learn from `loss_of(step, shard)`."""
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
        clear_gradients(parameters)
        figures = backward_shards(parameters, functools.partial(loss_of, step))
        optimizer.step()
        return figures

    run_phase(phase, {"vae": vae, "optimizer": optimizer}, train_step)


def moment_loss(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Takes the KL's place: 0 when each channel has mean 0 and deviation 1, and the variance is that of the noise."""
    axes = (0, 2, 3, 4)
    moments = mean.mean(axes).square().mean() + (mean.std(axes) - 1).square().mean()
    return moments + (log_variance - LOG_VARIANCE).square().mean()
