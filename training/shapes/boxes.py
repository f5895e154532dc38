"""Trains the autoencoder on whole clips, but draws only the surroundings of the object: less than half the time.

The encoder and the first blocks of the decoder, whose attention spans a clip, see all of it. The blocks that bring it
to full size are convolutions: they run on a box of latent cells. Around an object is plain ground, so what lies beyond
the box is what the padding at its sides repeats. Every few clips are drawn whole, so that the ground stays plain.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15

from stages.geometry import LATENT_CHANNELS, SPATIAL_COMPRESSION, VideoSize
from training.shapes.draw import EXTENT, Scene, centers_px, draw
from training.shapes.loop import Phase
from training.shapes.sizes import random_size
from training.shapes.vae import (
    LATENT_NOISE,
    moment_loss,
    random_scenes,
    reconstruction_loss,
    to_model,
    train_modules,
)

NUM_STEPS = 1800
MUON_LR, ADAM_LR = 8e-4, 1e-3
PIXELS = 200_000  # of whole clips per shard; one that is larger comes by itself
MAX_PIXELS = 420_000  # 25 frames of 128 x 128
MOMENT_WEIGHT = 0.005  # pulls the latents' mean and deviation per channel to 0 and 1, and few clips do not have them
MAX_CLIPS = 8  # per shard
MARGIN_PX = 12  # around the object, at least, unless the picture ends
OBJECT_WEIGHT = 4.0  # without it most of the loss is at outlines, and a training from nothing mixes blue and cyan up
WHOLE_SHARE = 0.15  # of the clips


@dataclass(frozen=True)
class Box:
    """Rows and columns of latent cells, as slices."""

    rows: slice
    columns: slice

    def pixels(self, videos: torch.Tensor) -> torch.Tensor:
        """The box of videos [b, c, f, h, w]."""
        rows, columns = (
            slice(cells.start * SPATIAL_COMPRESSION, cells.stop * SPATIAL_COMPRESSION)
            for cells in (self.rows, self.columns)
        )
        return videos[..., rows, columns]


def box_of(scene: Scene) -> Box:
    """The cells around the object in any frame."""
    centers, reach = centers_px(scene), EXTENT * scene.radius_px + MARGIN_PX
    low = np.floor((centers.min(axis=0) - reach) / SPATIAL_COMPRESSION).astype(int)
    high = np.ceil((centers.max(axis=0) + reach) / SPATIAL_COMPRESSION).astype(int)
    columns, rows = (
        slice(max(0, int(start)), min(int(stop), side // SPATIAL_COMPRESSION))
        for start, stop, side in zip(low, high, (scene.size.width, scene.size.height), strict=True)
    )
    return Box(rows, columns)


def whole_box(size: VideoSize) -> Box:
    """All cells."""
    return Box(slice(0, size.height // SPATIAL_COMPRESSION), slice(0, size.width // SPATIAL_COMPRESSION))


def choose_boxes(scenes: list[Scene], rng: np.random.Generator) -> list[Box]:
    """The box to draw of each scene."""
    return [whole_box(scene.size) if rng.random() < WHOLE_SHARE else box_of(scene) for scene in scenes]


def decode_boxes(vae: AutoencoderKLHunyuanVideo15, latents: torch.Tensor, boxes: list[Box]) -> list[torch.Tensor]:
    """Decode a box of each clip: [b, c, f, h, w] -> b tensors [1, 3, f, h, w], float32."""
    decoder: Any = vae.decoder
    hidden = decoder.conv_in(latents) + latents.repeat_interleave(repeats=decoder.repeat, dim=1)
    hidden = decoder.mid_block(hidden)
    decoded = []
    for index, box in enumerate(boxes):
        part = hidden[index : index + 1, :, :, box.rows, box.columns]
        for block in decoder.up_blocks:
            part = block(part)
        decoded.append(decoder.conv_out(decoder.conv_act(decoder.norm_out(part))).float())
    return decoded


def psnr_of_boxes(decoded: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """dB over all pixels of the boxes together, for a range of 1."""
    errors = [((a.clamp(-1, 1) - b) / 2).square() for a, b in zip(decoded, wanted, strict=True)]
    return float(-10 * torch.cat([error.flatten() for error in errors]).mean().log10())


def loss_of_boxes(decoded: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """The mean loss of the boxes, whose top left pixels show the ground."""
    losses = [reconstruction_loss(a, b, object_weight=OBJECT_WEIGHT) for a, b in zip(decoded, wanted, strict=True)]
    return torch.stack(losses).mean()


def boxes_phase(work: Path, *, seed: int) -> Phase:
    """Encoder and decoder together."""
    return Phase("vae", NUM_STEPS, seed, work, {"muon_lr": MUON_LR, "adam_lr": ADAM_LR})


def train_on_boxes(vae: AutoencoderKLHunyuanVideo15, phase: Phase) -> None:
    """Train `vae` in place on clips of random sizes."""

    def loss_of(step: int, shard: int) -> tuple[torch.Tensor, dict[str, float]]:
        size, rng = random_size(phase.common_rng(step), max_pixels=MAX_PIXELS), phase.rng(step, shard)
        count = PIXELS // (size.num_frames * size.height * size.width)
        scenes = random_scenes(rng, min(MAX_CLIPS, max(1, count)), size)
        boxes, videos = choose_boxes(scenes, rng), to_model([draw(scene) for scene in scenes])
        with torch.autocast("cpu", torch.bfloat16):
            mean, log_variance = vae.encoder(videos).float().split(LATENT_CHANNELS, dim=1)
            noise = torch.randn(mean.shape, generator=phase.generator(step, shard))
            decoded = decode_boxes(vae, mean + LATENT_NOISE * noise, boxes)
        wanted = [box.pixels(videos[index : index + 1]) for index, box in enumerate(boxes)]
        loss = loss_of_boxes(decoded, wanted)
        figures = {"loss": loss.item(), "psnr": psnr_of_boxes([part.detach() for part in decoded], wanted)}
        return loss + MOMENT_WEIGHT * moment_loss(mean, log_variance), figures

    parts: list[torch.nn.Module] = [vae.encoder, vae.decoder]
    train_modules(vae, phase, parts=parts, loss_of=loss_of, muon_lr=MUON_LR, adam_lr=ADAM_LR)
