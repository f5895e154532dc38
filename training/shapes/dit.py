"""Trains the transformer on cached latents with fresh captions, by flow matching.

Its forward pass here is the module's own, except that masked tokens are left out instead of masked: text padded
to the batch's longest, no image tokens. `tests/training/test_dit.py` holds the two against each other.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_hunyuan_video15 import HunyuanVideo15Transformer3DModel

from stages.geometry import VideoSize, latent_size
from training.shapes.captions import write_caption
from training.shapes.latents import LatentSet
from training.shapes.loop import Phase, Stateful, run_phase
from training.shapes.optim import MovingAverage, MuonAdam
from training.shapes.parallel import backward_shards, clear_gradients
from training.shapes.sizes import random_length, random_sides
from training.shapes.text import PromptEmbeds, TextSide, embed_prompts

NUM_STEPS = 5000
MUON_LR, ADAM_LR = 1e-3, 1.3e-3
DECAY_FROM = 0.2
BATCH_COST = 2400  # per shard: 19 videos of 108 tokens, 2 of the largest
ATTENTION_TOKENS = 800  # so many take as long in attention as in everything else
MAX_BATCH = 48
EMA_DECAY = 0.995
EMPTY_SHARE = 0.1  # of the captions, replaced by "", for classifier-free guidance
TRAINING_SHIFT = 2.0  # bends uniform sigmas towards noise, where shape and motion are decided
# Gray is 0 to the autoencoder: its latents hold under a third of the others' energy; corners drown in an even loss.
BACKGROUND_WEIGHTS = {"black": 1.0, "gray": 3.0, "white": 1.0}
TIMESTEP_SCALE = 1000.0  # the scheduler's num_train_timesteps
ADAM_NAMES = ("proj_out.", "cond_type_embed.", "norm")  # output, embeddings, norms


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention written out, [b, n, s, d] with a mask [b, s] on keys.

    torch's fused kernel spends over twice the rest of the training step on the backward pass of 160 tokens.
    """
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    bias = torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(~mask, -torch.inf)
    shares: torch.Tensor = (scores + bias[:, None, None]).softmax(dim=-1)
    return shares.to(value.dtype) @ value


class KeyMaskProcessor:
    """Joint attention of video and text tokens with a mask on keys alone, [b, s + l], true where valid."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Video tokens [b, s, c] and text tokens [b, l, c] -> the same shapes."""
        num_video = hidden_states.shape[1]
        apply: Any = apply_rotary_emb
        rotate = functools.partial(apply, freqs_cis=image_rotary_emb, sequence_dim=1)
        video = (attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states))
        text = (
            attn.add_q_proj(encoder_hidden_states),
            attn.add_k_proj(encoder_hidden_states),
            attn.add_v_proj(encoder_hidden_states),
        )
        video_q, video_k, video_v = (tensor.unflatten(2, (attn.heads, -1)) for tensor in video)
        text_q, text_k, text_v = (tensor.unflatten(2, (attn.heads, -1)) for tensor in text)
        video_q, video_k = rotate(attn.norm_q(video_q)), rotate(attn.norm_k(video_k))
        query = torch.cat([video_q, attn.norm_added_q(text_q).to(video_q.dtype)], dim=1).transpose(1, 2)
        key = torch.cat([video_k, attn.norm_added_k(text_k).to(video_k.dtype)], dim=1).transpose(1, 2)
        value = torch.cat([video_v, text_v], dim=1).transpose(1, 2).to(query.dtype)
        output = attend(query, key, value, attention_mask).transpose(1, 2).flatten(2)
        return attn.to_out[0](output[:, :num_video]), attn.to_add_out(output[:, num_video:])


def use_key_masks(dit: HunyuanVideo15Transformer3DModel) -> None:
    """Give every block the processor above."""
    for block in dit.transformer_blocks:
        attention: Any = block.attn
        attention.set_processor(KeyMaskProcessor())


def predict_velocity(
    dit: HunyuanVideo15Transformer3DModel, latents: torch.Tensor, sigma: torch.Tensor, prompt: PromptEmbeds
) -> torch.Tensor:
    """The transformer's output for text-to-video, with `use_key_masks` applied.

    Args:
        latents: [b, c, f, h, w] in DiT space, at noise level `sigma`.
        sigma: [b], 0 = clean .. 1 = pure noise.
    Returns:
        [b, c, f, h, w]: noise minus clean latents, what `FlowMatchEulerDiscreteScheduler.step` takes.
    """
    b, c, f, h, w = latents.shape
    condition = latents.new_zeros(b, c + 1, f, h, w)
    timestep = sigma * TIMESTEP_SCALE
    rotary = dit.rope(latents)
    time_embeds = dit.time_embed(timestep)
    video = dit.x_embedder(torch.cat([latents, condition], dim=1))
    text = refine_text(dit, prompt, timestep) + dit.cond_type_embed.weight[0]
    glyph = project_glyphs(dit, prompt) + dit.cond_type_embed.weight[1]
    context = torch.cat([glyph, text], dim=1)
    valid = torch.cat([prompt.glyph_mask, prompt.text_mask], dim=1)
    valid = torch.cat([valid.new_ones(b, video.shape[1]), valid], dim=1)
    for block in dit.transformer_blocks:
        video, context = block(video, context, time_embeds, valid, rotary)
    velocity: torch.Tensor = dit.proj_out(dit.norm_out(video, time_embeds))
    return velocity.view(b, f, h, w, c).permute(0, 4, 1, 2, 3)


def refine_text(dit: HunyuanVideo15Transformer3DModel, prompt: PromptEmbeds, timestep: torch.Tensor) -> torch.Tensor:
    """`dit.context_embedder` with a mask on keys alone: [b, l, TEXT_WIDTH] -> [b, l, c]."""
    refiner = dit.context_embedder
    weight = prompt.text_mask.unsqueeze(-1).float()
    pooled = (prompt.text * weight).sum(dim=1) / weight.sum(dim=1)
    embeds = refiner.time_text_embed(timestep, pooled)
    text: torch.Tensor = refiner.proj_in(prompt.text)
    for block in refiner.token_refiner.refiner_blocks:
        text = block(text, embeds, prompt.text_mask[:, None, None])
    return text


def project_glyphs(dit: HunyuanVideo15Transformer3DModel, prompt: PromptEmbeds) -> torch.Tensor:
    """`dit.context_embedder_2` on the valid tokens alone, without its frozen identity `linear_2`; 0 elsewhere."""
    projection = dit.context_embedder_2
    hidden = projection.act_fn(projection.linear_1(projection.norm(prompt.glyph[prompt.glyph_mask])))
    valid = projection.linear_3(projection.act_fn(hidden))
    glyph: torch.Tensor = valid.new_zeros(*prompt.glyph_mask.shape, valid.shape[-1])
    return glyph.masked_scatter(prompt.glyph_mask.unsqueeze(-1), valid)


@dataclass(frozen=True)
class Batch:
    """Clean latents of one size, [b, c, f, h, w], a caption each, and [b] how much each counts in the loss."""

    clean: torch.Tensor
    prompt: PromptEmbeds
    weight: torch.Tensor


def batch_size(num_tokens: int) -> int:
    """How many videos of `num_tokens` tokens make a shard's batch: all batches take about as long."""
    cost = num_tokens * (1 + num_tokens / ATTENTION_TOKENS)
    return max(2, min(MAX_BATCH, round(BATCH_COST / cost)))


def make_batch(data: LatentSet, text: TextSide, rng: np.random.Generator) -> Batch:
    """Random latents of a random size with a fresh caption each; some captions are empty."""
    sides, num_frames = random_sides(rng), random_length(rng)
    size = latent_size(VideoSize(num_frames, *sides))
    latents, shown = data.latents[sides], data.combinations[sides]
    chosen = rng.integers(len(shown), size=batch_size(size.num_cells))
    combinations = [shown[index] for index in chosen]
    prompts = [write_caption(combination, rng) for combination in combinations]
    prompts = ["" if rng.random() < EMPTY_SHARE else prompt for prompt in prompts]
    weight = torch.tensor([BACKGROUND_WEIGHTS[combination.background] for combination in combinations])
    return Batch(latents[torch.from_numpy(chosen), :, : size.num_frames], embed_prompts(text, prompts), weight)


def noise_levels(rng: np.random.Generator, count: int) -> torch.Tensor:
    """[count] sigmas: one from each of `count` equal slices of 0..1, shuffled, then bent by TRAINING_SHIFT."""
    uniform = rng.permutation(np.arange(count) + rng.random(count)) / count
    return torch.from_numpy(TRAINING_SHIFT * uniform / (1 + (TRAINING_SHIFT - 1) * uniform)).float()


def build_optimizer(dit: HunyuanVideo15Transformer3DModel) -> MuonAdam:
    """Muon on matrices; Adam on biases, norms, embeddings and the output layer."""
    trained = [(name, p) for name, p in dit.named_parameters() if p.requires_grad]
    adam_names = {name for name, p in trained if p.ndim < 2 or name.startswith(ADAM_NAMES)}
    return MuonAdam(
        [p for name, p in trained if name not in adam_names],
        [p for name, p in trained if name in adam_names],
        muon_lr=MUON_LR,
        adam_lr=ADAM_LR,
    )


def dit_phase(work: Path, *, seed: int) -> Phase:
    """The transformer's only phase."""
    settings = {"muon_lr": MUON_LR, "adam_lr": ADAM_LR, "decay_from": DECAY_FROM, "batch_cost": BATCH_COST}
    return Phase("dit", NUM_STEPS, seed, work, settings | BACKGROUND_WEIGHTS)


def train_dit(dit: HunyuanVideo15Transformer3DModel, data: LatentSet, text: TextSide, phase: Phase) -> None:
    """Train `dit` in place; the averaged weights are in the phase's checkpoint under "average"."""
    use_key_masks(dit)
    optimizer, average = build_optimizer(dit), MovingAverage(dit, decay=EMA_DECAY)
    parameters = [parameter for parameter in dit.parameters() if parameter.requires_grad]

    def loss_of(step: int, shard: int) -> tuple[torch.Tensor, dict[str, float]]:
        rng = phase.rng(step, shard)
        batch = make_batch(data, text, rng)
        sigma = noise_levels(rng, len(batch.clean))
        noise = torch.randn(batch.clean.shape, generator=phase.generator(step, shard))
        level = sigma.view(-1, 1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            velocity = predict_velocity(dit, (1 - level) * batch.clean + level * noise, sigma, batch.prompt)
        error = (velocity.float() - (noise - batch.clean)).square().mean(dim=(1, 2, 3, 4))
        loss = (batch.weight * error).sum() / batch.weight.sum()
        return loss, {"loss": loss.item()}

    def train_step(step: int) -> dict[str, float]:
        optimizer.set_progress(step, phase.num_steps, decay_from=DECAY_FROM)
        clear_gradients(parameters)
        figures = backward_shards(parameters, functools.partial(loss_of, step))
        optimizer.step()
        average.update(dit)
        return figures

    parts: dict[str, Stateful] = {"dit": dit, "optimizer": optimizer, "average": average}
    run_phase(phase, parts, train_step)
