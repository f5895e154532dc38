"""From the embeddings of one or two prompts to the text tokens of a batch: valid ones, padded to a common bucket.

Owns which tokens enter the DiT and how many places they take. Refining and projecting them is in transformer.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray

from stages.denoise.attention.padding import round_up
from stages.denoise.config import TransformerConfig
from stages.errors import ContractError
from stages.pipeline.contract import check_shapes
from stages.pipeline.contracts import EMBEDDINGS
from stages.tensors.dtypes import DTYPES, name_dtypes

Leaf = TypeVar("Leaf")  # an array, or what stands for one: its shape

# Lengths that text is padded to, so that few programs are compiled; a longer text takes the next multiple of the
# last. Padding is at most 511 of the tens of thousands of tokens of a real video.
BUCKETS = (0, 32, 64, 128, 256, 512)
# Beside a long video, where a program takes long to compile, all but long prompts have one length: a 64th of the video
# or more, up to 256.
_VIDEO_TOKENS_PER_PLACE, _LARGEST_MINIMUM = 64, 256


@dataclass(frozen=True)
class PromptEmbeds:
    """Embeddings of one prompt, named as in `embeddings.safetensors`.

    The language model's [1, l, c] and ByT5's (glyph text) [1, l, c], any float dtype; masks [1, l], any dtype, not 0
    where a token is valid.
    """

    prompt_embeds: NDArray[Any]
    prompt_embeds_mask: NDArray[Any]
    prompt_embeds_2: NDArray[Any]
    prompt_embeds_mask_2: NDArray[Any]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], *, prefix: str = "") -> "PromptEmbeds":
        """Take one prompt out of the tensors of `embeddings.safetensors`; prefix "negative_" for the other one."""
        names = ("prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2")
        return cls(**{name: tensors[prefix + name] for name in names})


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TextTokens(Generic[Leaf]):
    """Valid text tokens of a batch, in their order, then padding (zeros) up to the bucket.

    Tokens of the language model [b, l, c] and of ByT5 [b, g, c2], model dtype; masks [b, l] and [b, g], bool, True
    where a token exists.
    """

    prompt: Leaf
    prompt_mask: Leaf
    glyph: Leaf
    glyph_mask: Leaf


def read_embeddings(
    tensors: Mapping[str, NDArray[Any]],
    config: TransformerConfig,
    *,
    is_guided: bool,
    dtype: str,
    num_video_tokens: int,
    where: str,
) -> TextTokens[NDArray[Any]]:
    """The text tokens of a batch, from the tensors of `embeddings.safetensors`.

    Args:
        tensors: by name, float32 or bfloat16, shapes as `encode_prompts` gives them.
        config: of the checkpoint.
        is_guided: whether the batch has the negative prompt, too.
        dtype: the model dtype, "bfloat16" or "float32".
        num_video_tokens: as in `bucket_size`.
        where: source of the tensors, for messages.
    Raises:
        ContractError: tensors are missing, spare, misshapen or of a wrong dtype, or have other widths than the DiT
            reads, or a mask marks no token.
    """
    shapes = {name: array.shape for name, array in tensors.items()}
    check_shapes(EMBEDDINGS, shapes, where=where, dtypes=name_dtypes(tensors))
    check_widths(tensors, config, where=where)
    prefixes = ("", "negative_") if is_guided else ("",)
    check_masks(tensors, prefixes=prefixes, where=where)
    prompts = [PromptEmbeds.from_tensors(tensors, prefix=prefix) for prefix in prefixes]
    return pack_text_tokens(prompts, dtype=DTYPES[dtype], num_video_tokens=num_video_tokens)


def check_widths(tensors: Mapping[str, NDArray[Any]], config: TransformerConfig, *, where: str) -> None:
    """Compare the widths of the embeddings with those that the DiT reads.

    Args:
        tensors: of `embeddings.safetensors`.
        config: of the checkpoint.
        where: source of the tensors, for messages.
    Raises:
        ContractError: widths differ; lists all of them.
    """
    faults = [
        f"`{prefix}{name}` is {tensors[prefix + name].shape[-1]} wide, not {setting} = {getattr(config, setting)}"
        for prefix in ("", "negative_")
        for name, setting in (("prompt_embeds", "text_embed_dim"), ("prompt_embeds_2", "text_embed_2_dim"))
        if tensors[prefix + name].shape[-1] != getattr(config, setting)
    ]
    if faults:
        raise ContractError(
            f"{where}: does not hold what the transformer reads: {'; '.join(faults)}. "
            "Use a checkpoint whose text encoders and transformer belong together; embeddings in encode.from_file have "
            "to come from such text encoders, too."
        )


def check_masks(tensors: Mapping[str, NDArray[Any]], *, prefixes: Sequence[str], where: str) -> None:
    """Compare the masks of the language model's tokens with what the DiT needs: their mean has to exist.

    Args:
        tensors: of `embeddings.safetensors`.
        prefixes: of the prompts that are used, as in `PromptEmbeds.from_tensors`.
        where: source of the tensors, for messages.
    Raises:
        ContractError: a prompt has no valid token; lists all of them.
    """
    names = [f"{prefix}prompt_embeds_mask" for prefix in prefixes]
    faults = [f"`{name}` marks no valid token" for name in names if not tensors[name].any()]
    if faults:
        raise ContractError(
            f"{where}: {'; '.join(faults)}. `doit forget` it and run `doit` again, or fix the file in encode.from_file."
        )


def pack_text_tokens(
    prompts: Sequence[PromptEmbeds], *, dtype: np.dtype[Any], num_video_tokens: int = 0
) -> TextTokens[NDArray[Any]]:
    """Keep the valid tokens of each prompt and pad both kinds of text to one bucket each for all prompts.

    Args:
        prompts: one per batch entry, each with a valid token of the language model (`check_masks`).
        dtype: the model dtype, which embeddings are cast to.
        num_video_tokens: video tokens that the text stands beside, as in `bucket_size`.
    Returns:
        b entries, in the host's memory: no device has been chosen. A kind of text that no prompt has takes no place at
        all.
    """
    valid = [_valid_tokens(entry.prompt_embeds, entry.prompt_embeds_mask) for entry in prompts]
    assert all(len(tokens) for tokens in valid), "check_masks"
    glyphs = [_valid_tokens(entry.prompt_embeds_2, entry.prompt_embeds_mask_2) for entry in prompts]
    prompt, prompt_mask = _pad(valid, dtype, num_video_tokens)
    glyph, glyph_mask = _pad(glyphs, dtype, num_video_tokens)
    return TextTokens(prompt=prompt, prompt_mask=prompt_mask, glyph=glyph, glyph_mask=glyph_mask)


def bucket_size(num_tokens: int, *, num_video_tokens: int = 0) -> int:
    """Smallest bucket that holds `num_tokens` >= 0 and has at least min(num_video_tokens // 64, 256) places.

    No tokens take no places.
    """
    least = min(num_video_tokens // _VIDEO_TOKENS_PER_PLACE, _LARGEST_MINIMUM) if num_tokens else 0
    return next((size for size in BUCKETS if size >= max(num_tokens, least)), round_up(num_tokens, BUCKETS[-1]))


def _valid_tokens(embeds: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """[valid, c] of [1, l, c]."""
    valid: NDArray[Any] = embeds[0][mask[0].astype(bool)]
    return valid


def _pad(
    entries: Sequence[NDArray[Any]], dtype: np.dtype[Any], num_video_tokens: int
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """[b, bucket, c] and the mask [b, bucket] of entries [valid, c]."""
    size = bucket_size(max(len(entry) for entry in entries), num_video_tokens=num_video_tokens)
    padded = np.zeros((len(entries), size, entries[0].shape[1]), dtype)
    mask = np.zeros((len(entries), size), bool)
    for index, entry in enumerate(entries):
        padded[index, : len(entry)] = entry
        mask[index, : len(entry)] = True
    return padded, mask
