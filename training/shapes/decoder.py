"""Trains the decoder alone, last of all: to draw crisp shapes also from what the transformer makes of them.

The encoder's latents stay as they are, so the transformer stays right. Half of the clips are decoded from
their latents plus noise, the other half from latents that the transformer has restored in one step from a
noisier state: blurred and blotched in the way of real samples.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

from training.shapes.captions import write_caption
from training.shapes.dit import predict_velocity
from training.shapes.draw import draw
from training.shapes.loop import Phase
from training.shapes.models import LATENT_CHANNELS
from training.shapes.text import TextSide, embed_prompts
from training.shapes.vae import psnr, random_scenes, reconstruction_loss, to_model, train_modules
from training.shapes.vocabulary import Combination

NUM_STEPS = 1200
MUON_LR, ADAM_LR = 1e-3, 1e-3
PLAIN_CLIPS, RESTORED_CLIPS = 1, 1  # per step
PLAIN_NOISE = 0.15  # deviation, on unscaled latents of deviation 0.84
MAX_SIGMA = 0.6  # above, the shape is no longer in the noisy latents and the target would be a guess


@dataclass(frozen=True)
class Restorer:
    """The trained transformer and what it needs to restore latents."""

    dit: HunyuanVideo15Transformer3DModel
    text: TextSide
    scaling_factor: float

    @torch.no_grad()
    def restore(
        self, mean: torch.Tensor, combinations: list[Combination], rng: np.random.Generator, noise: torch.Tensor
    ) -> torch.Tensor:
        """The transformer's guess of clean latents after `noise` of a random level up to MAX_SIGMA is mixed in.

        Args:
            mean: [b, c, f, h, w], unscaled latents; returned with the same shape and scale.
            combinations: what the b videos show; each gets a fresh caption.
        """
        clean = mean * self.scaling_factor
        sigma = torch.from_numpy(rng.uniform(0, MAX_SIGMA, size=len(clean))).float()
        level = sigma.view(-1, 1, 1, 1, 1)
        noisy = (1 - level) * clean + level * noise
        prompt = embed_prompts(self.text, [write_caption(combination, rng) for combination in combinations])
        velocity = predict_velocity(self.dit, noisy, sigma, prompt).float()
        return (noisy - level * velocity) / self.scaling_factor


def decoder_phase(work: Path, *, seed: int) -> Phase:
    """The decoder's own phase."""
    return Phase("decoder", NUM_STEPS, seed, work)


def train_decoder(vae: AutoencoderKLHunyuanVideo15, restorer: Restorer, phase: Phase) -> None:
    """Train `vae.decoder` in place on whole clips."""

    def loss_of(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng, generator = phase.rng(step), phase.generator(step)
        scenes = random_scenes(rng, PLAIN_CLIPS + RESTORED_CLIPS)
        videos = to_model([draw(scene) for scene in scenes])
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                mean = vae.encoder(videos)[:, :LATENT_CHANNELS].float()
            noise = torch.randn(mean.shape, generator=generator)
            combinations = [scene.combination for scene in scenes[PLAIN_CLIPS:]]
            plain = mean[:PLAIN_CLIPS] + PLAIN_NOISE * noise[:PLAIN_CLIPS]
            restored = restorer.restore(mean[PLAIN_CLIPS:], combinations, rng, noise[PLAIN_CLIPS:])
            decoded = vae.decoder(torch.cat([plain, restored])).float()
        loss = reconstruction_loss(decoded, videos)
        values = psnr(decoded.detach(), videos)
        plain_db, restored_db = values[:PLAIN_CLIPS].mean().item(), values[PLAIN_CLIPS:].mean().item()
        return loss, {"loss": loss.item(), "plain_db": plain_db, "restored_db": restored_db}

    train_modules(vae, phase, parts=[vae.decoder], loss_of=loss_of, muon_lr=MUON_LR, adam_lr=ADAM_LR)
