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
    HunyuanVideo15RMS_norm,
)
from torch.nn import functional

from stages.geometry import LATENT_CHANNELS, VideoSize
from training.shapes.draw import Scene, Video, Window, centers_px, draw, random_scene
from training.shapes.loop import Phase, run_phase
from training.shapes.optim import MuonAdam
from training.shapes.parallel import backward_shards, clear_gradients
from training.shapes.sizes import MAX_FRAMES, random_sides, random_size
from training.shapes.vocabulary import training_combinations

MUON_LR, ADAM_LR = 1.5e-3, 2e-3
DECAY_FROM = 0.4
CROP_STEPS = 3400  # the first phase begins on crops: every crop has an edge in it
CLIP_STEPS = 1200  # and ends on whole clips, because the mid-block attends to all of a clip
STOP_AFTER = 4048  # of these steps, by which the learning rates decay; `boxes.py` goes on from there, faster
CROP_PX = 32
CROP_SHAPES = ((5, 12), (9, 7), (13, 5), (17, 4))  # (frames, crops per shard): about as many pixels each
CLIP_PIXELS = 110_000  # per shard, as far as whole clips go; one that is larger comes by itself
MAX_CLIP_PIXELS = 420_000  # 25 frames of 128 x 128
MAX_CLIPS = 12  # per shard
LATENT_NOISE = 0.1  # deviation; takes the place of sampling the posterior
EDGE_WEIGHT = 8.0  # extra weight of pixels within EDGE_PX of an outline
EDGE_PX = 2
EDGE_CONTRAST = 0.2  # of -1..1, in one channel
CROP_MOMENT_WEIGHT = 0.02  # pulls the latents' mean and deviation per channel to 0 and 1
CLIP_MOMENT_WEIGHT = 0.005  # a shard of whole clips is few and does not have the moments of all
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


def random_clips(rng: np.random.Generator, size: VideoSize) -> list[Video]:
    """A shard of whole videos."""
    pixels = size.num_frames * size.height * size.width
    return [draw(scene) for scene in random_scenes(rng, min(MAX_CLIPS, max(1, CLIP_PIXELS // pixels)), size)]


def random_crops(rng: np.random.Generator) -> list[Video]:
    """A shard of `CROP_PX` squares out of videos of random sizes, placed so that the object is in or near.

    A crop's first frame may be any frame of its video: to the model it is then a first frame.
    """
    num_frames, count = CROP_SHAPES[rng.integers(len(CROP_SHAPES))]
    crops = []
    for _ in range(count):
        height, width = random_sides(rng)
        scene = random_scenes(rng, 1, VideoSize(MAX_FRAMES, height, width))[0]
        first = int(rng.integers(MAX_FRAMES - num_frames + 1))
        center = centers_px(scene)[first + rng.integers(num_frames)]
        left, top = np.round(center + rng.uniform(-1, 1, size=2) * scene.radius_px - CROP_PX / 2).astype(int)
        top, left = int(np.clip(top, 0, height - CROP_PX)), int(np.clip(left, 0, width - CROP_PX))
        crops.append(draw(scene, Window(first, num_frames, top, left, CROP_PX, CROP_PX)))
    return crops


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


def psnr(decoded: torch.Tensor, videos: torch.Tensor) -> torch.Tensor:
    """[b], dB: peak signal to noise per video, both in -1..1, for a range of 1 after mapping to 0..1."""
    error = (decoded.clamp(-1, 1) - videos) / 2
    return -10 * error.square().mean(dim=(1, 2, 3, 4)).log10()


def train_modules(
    vae: AutoencoderKLHunyuanVideo15,
    phase: Phase,
    *,
    parts: list[torch.nn.Module],
    loss_of: Callable[[int, int], tuple[torch.Tensor, dict[str, float]]],
    muon_lr: float,
    adam_lr: float,
    decay_from: float = DECAY_FROM,
    stop_after: int | None = None,
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
        optimizer.set_progress(step, phase.num_steps, decay_from=decay_from)
        clear_gradients(parameters)
        figures = backward_shards(parameters, functools.partial(loss_of, step))
        optimizer.step()
        return figures

    run_phase(phase, {"vae": vae, "optimizer": optimizer}, train_step, stop_after=stop_after)


def autoencoder_phase(work: Path, *, seed: int) -> Phase:
    """Encoder and decoder together."""
    return Phase("vae", CROP_STEPS + CLIP_STEPS, seed, work, {"muon_lr": MUON_LR, "adam_lr": ADAM_LR})


def train_autoencoder(vae: AutoencoderKLHunyuanVideo15, phase: Phase) -> None:
    """`CROP_STEPS` on crops, then on whole clips, to `STOP_AFTER` steps in all."""

    def loss_of(step: int, shard: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng = phase.rng(step, shard)
        is_crop = step < CROP_STEPS
        size = random_size(phase.common_rng(step), max_pixels=MAX_CLIP_PIXELS)
        videos = to_model(random_crops(rng) if is_crop else random_clips(rng, size))
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = vae.encoder(videos).float().split(LATENT_CHANNELS, dim=1)
            noise = torch.randn(mean.shape, generator=phase.generator(step, shard))
            decoded = vae.decoder(mean + LATENT_NOISE * noise).float()
        loss = reconstruction_loss(decoded, videos)
        figures = {"loss": loss.item(), "psnr": psnr(decoded.detach(), videos).mean().item()}
        weight = CROP_MOMENT_WEIGHT if is_crop else CLIP_MOMENT_WEIGHT
        return loss + weight * moment_loss(mean, log_variance), figures

    parts: list[torch.nn.Module] = [vae.encoder, vae.decoder]
    train_modules(vae, phase, parts=parts, loss_of=loss_of, muon_lr=MUON_LR, adam_lr=ADAM_LR, stop_after=STOP_AFTER)


def moment_loss(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Takes the KL's place: 0 when each channel has mean 0 and deviation 1, and the variance is that of the noise."""
    axes = (0, 2, 3, 4)
    moments = mean.mean(axes).square().mean() + (mean.std(axes) - 1).square().mean()
    return moments + (log_variance - LOG_VARIANCE).square().mean()
