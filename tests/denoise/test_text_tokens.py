"""Which text tokens enter the DiT, by arrays written out by hand."""

import numpy as np
import pytest

from stages.denoise.config import TransformerConfig
from stages.denoise.text_tokens import (
    PromptEmbeds,
    bucket_size,
    check_masks,
    check_widths,
    pack_text_tokens,
    read_embeddings,
)
from stages.errors import ContractError

FLOAT32 = np.dtype(np.float32)


def build_prompt(mask: list[int], glyph_mask: list[int]) -> PromptEmbeds:
    """Token i of the prompt is [i + 1], of the glyphs [-(i + 1), 0]."""
    return PromptEmbeds(
        prompt_embeds=np.arange(1.0, len(mask) + 1, dtype=np.float32)[None, :, None],
        prompt_embeds_mask=np.array([mask], np.float32),
        prompt_embeds_2=np.array([[[-index - 1, 0] for index in range(len(glyph_mask))]], np.float32),
        prompt_embeds_mask_2=np.array([glyph_mask], np.float32),
    )


def pad(values: list[float], size: int) -> list[float]:
    return values + [0.0] * (size - len(values))


def test_valid_tokens_come_first_in_their_order_and_zeros_fill_the_bucket():
    text = pack_text_tokens([build_prompt([0, 1, 1, 0, 1], [1, 0, 1])], dtype=FLOAT32)
    assert text.prompt[0, :, 0].tolist() == pad([2.0, 3.0, 5.0], 32)
    assert text.prompt_mask[0].tolist() == pad([True, True, True], 32)
    assert text.glyph[0, :, 0].tolist() == pad([-1.0, -3.0], 32)
    assert text.glyph_mask[0].tolist() == pad([True, True], 32)


def test_both_branches_share_one_bucket():
    long, short = build_prompt([1] * 40, [1] * 33), build_prompt([1], [0])
    text = pack_text_tokens([long, short], dtype=FLOAT32)
    assert (text.prompt.shape, text.glyph.shape) == ((2, 64, 1), (2, 64, 2))
    assert text.prompt_mask.sum(axis=1).tolist() == [40, 1]
    assert text.glyph_mask.sum(axis=1).tolist() == [33, 0]


def test_text_that_no_prompt_has_takes_no_place():
    text = pack_text_tokens([build_prompt([1], [0, 0])], dtype=FLOAT32)
    assert text.glyph.shape == (1, 0, 2)


@pytest.mark.parametrize(
    ("num_tokens", "size"),
    [(0, 0), (1, 32), (32, 32), (33, 64), (65, 128), (129, 256), (257, 512), (513, 1024), (1000, 1024), (1025, 1536)],
)
def test_buckets_are_few(num_tokens: int, size: int):
    assert bucket_size(num_tokens) == size


@pytest.mark.parametrize(
    ("num_tokens", "num_video_tokens", "size"),
    [(0, 46_800, 0), (1, 46_800, 256), (256, 46_800, 256), (257, 46_800, 512), (1, 8_192, 128), (1, 2_047, 32)],
)
def test_beside_a_long_video_short_texts_have_one_length(num_tokens: int, num_video_tokens: int, size: int):
    assert bucket_size(num_tokens, num_video_tokens=num_video_tokens) == size


def test_both_kinds_of_text_have_it():
    text = pack_text_tokens([build_prompt([1], [1])], dtype=FLOAT32, num_video_tokens=46_800)
    assert (text.prompt.shape, text.glyph.shape) == ((1, 256, 1), (1, 256, 2))


def test_embeddings_are_cast_to_the_model_dtype():
    text = pack_text_tokens([build_prompt([1], [1])], dtype=np.dtype("bfloat16"))
    assert (text.prompt.dtype, text.glyph.dtype) == ("bfloat16", "bfloat16")


def masks(*valid: bool) -> dict[str, np.ndarray]:
    names = ("prompt_embeds_mask", "negative_prompt_embeds_mask")
    return {name: np.array([[is_valid, False]], np.float32) for name, is_valid in zip(names, valid, strict=True)}


def test_prompts_without_a_token_are_reported_with_their_file():
    with pytest.raises(ContractError) as error:
        check_masks(masks(False, False), prefixes=("", "negative_"), where="embeddings")
    assert str(error.value) == (
        "embeddings: `prompt_embeds_mask` marks no valid token; `negative_prompt_embeds_mask` marks no valid token. "
        "`doit forget` it and run `doit` again, or fix the file in encode.from_file."
    )


def test_a_negative_prompt_that_is_not_used_needs_no_token():
    check_masks(masks(True, False), prefixes=("",), where="embeddings")


def test_the_negative_prompt_is_found_by_its_prefix():
    names = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
    tensors = {prefix + name: np.array([len(prefix)]) for prefix in ("", "negative_") for name in names}
    assert PromptEmbeds.from_tensors(tensors).prompt_embeds == [0]
    assert PromptEmbeds.from_tensors(tensors, prefix="negative_").prompt_embeds_mask_2 == [9]


def embeddings(*, prompt_width: int, glyph_width: int) -> dict[str, np.ndarray]:
    widths = {"prompt_embeds": prompt_width, "prompt_embeds_2": glyph_width}
    return {prefix + name: np.zeros((1, 2, width)) for prefix in ("", "negative_") for name, width in widths.items()}


def test_embeddings_as_wide_as_the_transformer_reads_them_pass():
    config = TransformerConfig(text_embed_dim=20, text_embed_2_dim=10)
    check_widths(embeddings(prompt_width=20, glyph_width=10), config, where="embeddings")


def test_embeddings_of_other_widths_are_refused():
    config = TransformerConfig(text_embed_dim=20, text_embed_2_dim=10)
    tensors = embeddings(prompt_width=20, glyph_width=11) | {"negative_prompt_embeds": np.zeros((1, 2, 64))}
    with pytest.raises(ContractError) as error:
        check_widths(tensors, config, where="embeddings")
    assert str(error.value) == (
        "embeddings: does not hold what the transformer reads: "
        "`prompt_embeds_2` is 11 wide, not text_embed_2_dim = 10; "
        "`negative_prompt_embeds` is 64 wide, not text_embed_dim = 20; "
        "`negative_prompt_embeds_2` is 11 wide, not text_embed_2_dim = 10. "
        "Use a checkpoint whose text encoders and transformer belong together; embeddings in encode.from_file have "
        "to come from such text encoders, too."
    )


def whole_embeddings(*, num_tokens: int, num_negative_tokens: int) -> dict[str, np.ndarray]:
    """All tensors of a file, with so many valid tokens."""
    tensors = {}
    for prefix, num in (("", num_tokens), ("negative_", num_negative_tokens)):
        for suffix, length, width in (("", 1000, 20), ("_2", 256, 10)):
            tensors[f"{prefix}prompt_embeds{suffix}"] = np.ones((1, length, width), np.float32)
            tensors[f"{prefix}prompt_embeds_mask{suffix}"] = (np.arange(length) < num).astype(np.float32)[None]
    return tensors


@pytest.mark.parametrize(("is_guided", "shape"), [(True, (2, 64, 20)), (False, (1, 32, 20))])
def test_the_negative_prompt_is_read_for_guidance_alone(is_guided: bool, shape: tuple[int, ...]):
    text = read_embeddings(
        whole_embeddings(num_tokens=3, num_negative_tokens=40),
        TransformerConfig(text_embed_dim=20, text_embed_2_dim=10),
        is_guided=is_guided,
        dtype="bfloat16",
        num_video_tokens=4,
        where="embeddings",
    )
    assert (text.prompt.shape, text.prompt.dtype) == (shape, "bfloat16")
