"""Trains the decoder alone, last of all: to draw crisp shapes also from what the transformer makes of them.

The encoder's latents stay as they are, so the transformer stays right. Half of the clips are decoded from
their latents plus noise, the other half from latents that the transformer has restored in one step from a
noisier state: blurred and blotched in the way of real samples.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import AutoencoderKLHunyuanVideo15
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

from stages.geometry import LATENT_CHANNELS
from training.shapes.boxes import choose_boxes, decode_boxes, loss_of_boxes, psnr_of_boxes
from training.shapes.captions import write_caption
from training.shapes.dit import predict_velocity
from training.shapes.draw import draw
from training.shapes.loop import Phase
from training.shapes.sizes import random_size
from training.shapes.text import PromptEmbeds, TextSide, embed_prompts
from training.shapes.vae import random_scenes, to_model, train_modules

NUM_STEPS = 600
MUON_LR, ADAM_LR = 4e-4, 5e-4
PLAIN_CLIPS, RESTORED_CLIPS = 2, 2  # per shard
MAX_PIXELS = 210_000  # of a clip: half of the largest in `vae.py`, because there are four
PLAIN_NOISE = 0.15  # deviation, on unscaled latents of deviation 0.84
MAX_SIGMA = 0.6  # above, the shape is no longer in the noisy latents and the target would be a guess


@dataclass(frozen=True)
class Restorer:
    """The trained transformer, which restores latents; `scaling_factor` is the VAE's."""

    dit: HunyuanVideo15Transformer3DModel
    scaling_factor: float

    @torch.no_grad()
    def restore(
        self, mean: torch.Tensor, prompt: PromptEmbeds, sigma: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """The transformer's guess of clean latents after `noise` is mixed in.

        Args:
            mean: [b, c, f, h, w], unscaled latents; returned with the same shape and scale.
            prompt: what the b videos show.
            sigma: [b], share of noise, 0..1.
        """
        clean = mean * self.scaling_factor
        level = sigma.view(-1, 1, 1, 1, 1)
        noisy = (1 - level) * clean + level * noise
        velocity = predict_velocity(self.dit, noisy, sigma, prompt).float()
        return (noisy - level * velocity) / self.scaling_factor


def decoder_phase(work: Path, *, seed: int) -> Phase:
    """The decoder's own phase."""
    return Phase("decoder", NUM_STEPS, seed, work, {"muon_lr": MUON_LR, "adam_lr": ADAM_LR})


def train_decoder(vae: AutoencoderKLHunyuanVideo15, restorer: Restorer, text: TextSide, phase: Phase) -> None:
    """Train `vae.decoder` in place on whole clips, each of the restored ones with a fresh caption."""

    def loss_of(step: int, shard: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng, generator = phase.rng(step, shard), phase.generator(step, shard)
        size = random_size(phase.common_rng(step), max_pixels=MAX_PIXELS)
        scenes = random_scenes(rng, PLAIN_CLIPS + RESTORED_CLIPS, size)
        videos = to_model([draw(scene) for scene in scenes])
        prompt = embed_prompts(text, [write_caption(scene.combination, rng) for scene in scenes[PLAIN_CLIPS:]])
        sigma = torch.from_numpy(rng.uniform(0, MAX_SIGMA, size=RESTORED_CLIPS)).float()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                mean = vae.encoder(videos)[:, :LATENT_CHANNELS].float()
            noise = torch.randn(mean.shape, generator=generator)
            plain = mean[:PLAIN_CLIPS] + PLAIN_NOISE * noise[:PLAIN_CLIPS]
            restored = restorer.restore(mean[PLAIN_CLIPS:], prompt, sigma, noise[PLAIN_CLIPS:])
            boxes = choose_boxes(scenes, rng)
            decoded = decode_boxes(vae, torch.cat([plain, restored]), boxes)
        wanted = [box.pixels(videos[index : index + 1]) for index, box in enumerate(boxes)]
        loss = loss_of_boxes(decoded, wanted)
        parts = [part.detach() for part in decoded]
        plain_db = psnr_of_boxes(parts[:PLAIN_CLIPS], wanted[:PLAIN_CLIPS])
        restored_db = psnr_of_boxes(parts[PLAIN_CLIPS:], wanted[PLAIN_CLIPS:])
        return loss, {"loss": loss.item(), "plain_db": plain_db, "restored_db": restored_db}

    train_modules(vae, phase, parts=[vae.decoder], loss_of=loss_of, muon_lr=MUON_LR, adam_lr=ADAM_LR)
