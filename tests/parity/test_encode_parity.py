"""Embeddings equal those of diffusers' HunyuanVideo15Pipeline, to the bit, in the same process."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import HunyuanVideo15Pipeline
from diffusers.pipelines.hunyuan_video1_5 import pipeline_hunyuan_video1_5 as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, T5Config, T5EncoderModel

import stages
from stages.encode.prompt import NUM_SYSTEM_TOKENS, SYSTEM_MESSAGE, build_chat, extract_glyph_text
from stages.encode.text_encoders import TextEncoders, encode_prompt, encode_prompts
from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.models.checkpoint import Checkpoint
from tests.fork import in_dtype

SHAPES = Path(stages.__file__).parent / "models" / "builtin" / "shapes"
NAMES = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
PROMPTS = {
    "plain": "a red circle moves right on a black background",
    "empty": "",
    "blank": " \n ",
    "quoted word": 'a red circle with the word "GO" on it',
    "curly quotes": "a red circle with the word “GO” on it",
    "two quoted words": 'a "left" circle and a "right" circle, "left" again',
    "empty quotes": 'a circle ""',
    "unicode": "ein grüner Kreis, 一个红色圆圈 “猫 ☕”, e\u0301",
    "longer than 1000 tokens": "a red circle moves right " * 400,
    "quoted text longer than 256 bytes": f'a sign "{"word " * 80}"',
}


def write_random_checkpoint(folder: Path) -> Path:
    """The built-in checkpoint with other text encoders: other widths, heads and layers, random weights."""
    shutil.copytree(SHAPES, folder)
    vocab_size = json.loads((SHAPES / "text_encoder" / "config.json").read_text())["vocab_size"]
    torch.manual_seed(0)
    language = Qwen2_5_VLTextConfig(
        vocab_size=vocab_size,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    glyphs = T5Config(vocab_size=384, d_model=40, d_kv=12, d_ff=56, num_layers=3, num_heads=3)
    for name, model in (
        ("text_encoder", Qwen2_5_VLTextModel(language)),
        ("text_encoder_2", T5EncoderModel(glyphs)),
    ):
        shutil.rmtree(folder / name)
        model.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module", params=["built-in", "random"])
def checkpoint(request, tmp_path_factory):
    if request.param == "built-in":
        return SHAPES
    return write_random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "random")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def both_sides(request, checkpoint):
    """Our encoders and diffusers' pipeline of one checkpoint in one dtype."""
    encoders = TextEncoders.load(Checkpoint(checkpoint), dtype=request.param)
    pipeline = HunyuanVideo15Pipeline.from_pretrained(
        checkpoint, **in_dtype(getattr(torch, request.param)), local_files_only=True
    )
    return encoders, pipeline


def encode_by_pipeline(pipeline, prompt):
    """What the pipeline's __call__ computes: encode_prompt without gradients, in the DiT's dtype."""
    with torch.no_grad():
        tensors = pipeline.encode_prompt(prompt, dtype=pipeline.transformer.dtype)
    return dict(zip(NAMES, tensors, strict=True))


def assert_equal_bits(array: np.ndarray, tensor: torch.Tensor) -> None:
    assert str(array.dtype) == str(tensor.dtype).removeprefix("torch.")
    assert array.shape == tuple(tensor.shape)
    assert array.tobytes() == tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_embeddings_equal_the_pipelines_to_the_bit(both_sides, prompt):
    encoders, pipeline = both_sides
    ours, theirs = encode_prompt(encoders, prompt), encode_by_pipeline(pipeline, prompt)
    assert tuple(ours) == NAMES
    for name in NAMES:
        assert_equal_bits(ours[name], theirs[name])


def test_prompt_and_negative_prompt_equal_the_pipelines_to_the_bit(both_sides):
    encoders, pipeline = both_sides
    ours = encode_prompts(encoders, PROMPTS["quoted word"], "blurry", lambda *_: None)
    for prefix, prompt in (("", PROMPTS["quoted word"]), ("negative_", "blurry")):
        for name, tensor in encode_by_pipeline(pipeline, prompt).items():
            assert_equal_bits(ours[prefix + name], tensor)


def test_a_negative_prompt_that_is_not_given_is_an_empty_one(both_sides):
    encoders, pipeline = both_sides
    ours, theirs = encode_prompt(encoders, ""), encode_by_pipeline(pipeline, None)
    for name in NAMES:
        assert_equal_bits(ours[name], theirs[name])


def test_attention_runs_by_the_same_implementation(both_sides):
    encoders, pipeline = both_sides
    for ours, theirs in (
        (encoders.text_encoder, pipeline.text_encoder),
        (encoders.text_encoder_2, pipeline.text_encoder_2),
    ):
        assert type(ours) is type(theirs)
        assert ours.config._attn_implementation == theirs.config._attn_implementation


def test_the_constants_are_the_pipelines(both_sides):
    _, pipeline = both_sides
    assert pipeline.system_message == SYSTEM_MESSAGE
    assert pipeline.prompt_template_encode_start_idx == NUM_SYSTEM_TOKENS
    assert pipeline.tokenizer_max_length == MAX_PROMPT_TOKENS
    assert pipeline.tokenizer_2_max_length == MAX_GLYPH_TOKENS


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet='"“”\nab .', max_size=30))
def test_glyph_text_equals_the_pipelines(prompt):
    assert extract_glyph_text(prompt) == reference.extract_glyph_texts(prompt)


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=5))
def test_the_chat_equals_the_pipelines(prompt):
    assert [build_chat(prompt)] == reference.format_text_input([prompt], SYSTEM_MESSAGE)
