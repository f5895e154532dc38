"""The training's forward pass against diffusers' own, and its batches."""

import numpy as np
import torch
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import HunyuanVideo15Pipeline

from stages.geometry import VideoSize, latent_size
from training.shapes.dit import ATTENTION_TOKENS, BATCH_COST, batch_size, make_batch, predict_velocity, use_key_masks
from training.shapes.latents import LatentSet, draw_combinations
from training.shapes.models import GLYPH_WIDTH, LATENT_CHANNELS, TEXT_WIDTH, build_dit
from training.shapes.sizes import LENGTHS, MAX_FRAMES, SIDES_PX
from training.shapes.text import build_text_side, embed_prompts

PROMPTS = ["a red circle moves right", 'a "HELLO" blue box falls on white, and more words here']
PADDED = 64  # tokens of each kind; far more than are valid, fewer than the pipeline's 1000, 256 and 729, for speed
TOLERANCE = 1e-4  # float32, other order of sums


@torch.no_grad()
def test_forward_without_masked_tokens_equals_the_modules_own() -> None:
    text, dit = build_text_side(seed=1), build_dit(seed=2, num_layers=2)
    for name, parameter in dit.named_parameters():
        if parameter.requires_grad and parameter.ndim == 1 and "norm" not in name:
            parameter.normal_(std=0.1)  # biases start at 0, which would hide a mistake
    embeds, mask = HunyuanVideo15Pipeline._get_mllm_prompt_embeds(text.text_encoder, text.tokenizer, PROMPTS, "cpu")
    embeds_2, mask_2 = HunyuanVideo15Pipeline._get_byt5_prompt_embeds(
        text.tokenizer_2, text.text_encoder_2, PROMPTS, "cpu"
    )
    assert (embeds.shape[-1], embeds_2.shape[-1]) == (TEXT_WIDTH, GLYPH_WIDTH)
    embeds, mask, embeds_2, mask_2 = embeds[:, :PADDED], mask[:, :PADDED], embeds_2[:, :PADDED], mask_2[:, :PADDED]
    latents = torch.randn(2, LATENT_CHANNELS, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    sigma = torch.tensor([0.3, 0.8])
    expected = dit(
        torch.cat([latents, torch.zeros(2, LATENT_CHANNELS + 1, 3, 6, 6)], dim=1),
        sigma * 1000,
        embeds,
        mask,
        encoder_hidden_states_2=embeds_2,
        encoder_attention_mask_2=mask_2,
        image_embeds=torch.zeros(2, PADDED, 16),
        return_dict=False,
    )[0]
    use_key_masks(dit)
    actual = predict_velocity(dit, latents, sigma, embed_prompts(text, PROMPTS))
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=0)


def test_batches_of_all_but_the_smallest_sizes_cost_about_the_same() -> None:
    sizes = [latent_size(VideoSize(f, side, side)).num_cells for f in LENGTHS for side in SIDES_PX]
    for num_tokens in sizes:
        cost = batch_size(num_tokens) * num_tokens * (1 + num_tokens / ATTENTION_TOKENS)
        assert cost < 1.15 * BATCH_COST
        assert cost > 0.75 * BATCH_COST or num_tokens < 50


def test_batch_has_one_size_and_a_caption_for_each_clip() -> None:
    sides = [(height, width) for height in SIDES_PX for width in SIDES_PX]
    latents = {size: torch.zeros(3, *latent_size(VideoSize(MAX_FRAMES, *size)).shape[1:]) for size in sides}
    data = LatentSet(latents, {size: draw_combinations(size, 3, seed=1) for size in sides}, 1.0)
    text, shapes = build_text_side(seed=1), set()
    for seed in range(8):
        batch = make_batch(data, text, np.random.default_rng(seed))
        assert len(batch.clean) == len(batch.weight) == len(batch.prompt.text) == batch_size(batch.clean[0, 0].numel())
        shapes.add(batch.clean.shape)
    assert len(shapes) > 4
