"""Tests of the tokenizer and of the features that training reads."""

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import HunyuanVideo15Pipeline
from transformers import Qwen2Tokenizer

from training.shapes.free_wordings import FREE_WORDINGS
from training.shapes.text import PREFIX_TOKENS, TextSide, build_text_side, embed_prompts, prompt_tokens

PROMPTS = [prompt for prompt, _ in FREE_WORDINGS] + ["", " ", "x", "ÄÖ 中文 \n\n tabs\t", "1 2 3", '"', "a" * 300]


@pytest.fixture(scope="module")
def text() -> TextSide:
    return build_text_side(seed=1)


def test_prefix_is_exactly_what_the_pipeline_crops(text: TextSide) -> None:
    rows = prompt_tokens(text, PROMPTS)
    prefix = rows[0][:PREFIX_TOKENS]
    assert all(row[:PREFIX_TOKENS] == prefix for row in rows)
    assert text.tokenizer.decode(prefix).endswith("user\n")
    assert len({row[PREFIX_TOKENS] for row in rows}) > 10  # the prefix is not longer than that either


@pytest.mark.parametrize("prompt", ["Red Circle", " red   circle", "RED-CIRCLE!", "(red) circle", "red\ncircle?"])
def test_case_spacing_and_punctuation_are_folded(text: TextSide, prompt: str) -> None:
    assert prompt_tokens(text, [prompt]) == prompt_tokens(text, ["red circle"])


def test_tokenizer_reloads_with_the_same_ids(text: TextSide, tmp_path: Path) -> None:
    text.tokenizer.save_pretrained(tmp_path)
    reloaded = TextSide(
        Qwen2Tokenizer.from_pretrained(tmp_path), text.text_encoder, text.tokenizer_2, text.text_encoder_2
    )
    assert prompt_tokens(reloaded, PROMPTS) == prompt_tokens(text, PROMPTS)


def test_features_are_the_valid_part_of_the_pipelines(text: TextSide) -> None:
    prompts = ["a red circle moves right", 'a box with "SALE 50" on it', ""]
    ours = embed_prompts(text, prompts)
    embeds, mask = HunyuanVideo15Pipeline._get_mllm_prompt_embeds(text.text_encoder, text.tokenizer, prompts, "cpu")
    embeds_2, mask_2 = HunyuanVideo15Pipeline._get_byt5_prompt_embeds(
        text.tokenizer_2, text.text_encoder_2, prompts, "cpu"
    )
    torch.testing.assert_close(ours.text[ours.text_mask], embeds[mask.bool()], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.glyph[ours.glyph_mask], embeds_2[mask_2.bool()], atol=1e-5, rtol=0)


def test_features_of_a_word_depend_on_the_word_before(text: TextSide) -> None:
    features = embed_prompts(text, ["from left", "to left"]).text[:, 1]
    assert float((features[0] - features[1]).abs().max()) > 0.2
