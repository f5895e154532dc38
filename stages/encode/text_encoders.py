"""The two text encoders as an object: loaded from a checkpoint, and run on prompts, by torch on the CPU.

Owns the order of operations from a prompt to its embeddings. Which text is encoded is said in prompt.py; what a
component must be is in components.py.

Source of the numbers and the order of operations: `encode_prompt` of diffusers' HunyuanVideo15Pipeline, whose
results these equal to the bit when both run on one machine.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, Qwen2_5_VLTextModel, Qwen2Tokenizer, T5EncoderModel

from stages.encode.chat import apply_chat_template, count_closing_tokens, list_tokens
from stages.encode.components import load_model, load_tokenizer, read_config
from stages.encode.prompt import NUM_SYSTEM_TOKENS, Truncation, build_chat, extract_glyph_text
from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.models.checkpoint import Checkpoint, open_component
from stages.models.settings import count
from stages.models.text_layouts import QWEN, T5
from stages.pipeline.encode import STAGE, TEXT_ENCODER, TEXT_ENCODER_2, TOKENIZER, TOKENIZER_2
from stages.request.arguments import check_arguments

Array: TypeAlias = NDArray[Any]

# The DiT was trained on the output of the third layer from the end: two layers and the last norm are skipped.
_HIDDEN_STATE = -3
_MIN_LAYERS = 2  # so that there are three states: the token embeddings, and one of each layer
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_DTYPES: Mapping[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class TextEncoders:
    """The text side of a checkpoint, ready to encode. All of it is in the host's memory.

    Attributes:
        checkpoint: that it was loaded from.
        dtype: of the weights, the embeddings and the masks: "bfloat16" or "float32".
        text_encoder: the language model.
        tokenizer: the language model's.
        text_encoder_2: ByT5, the glyph encoder.
        tokenizer_2: ByT5's.
        num_closing_tokens: of the chat after the prompt's last token.
    """

    checkpoint: Checkpoint
    dtype: str
    text_encoder: Qwen2_5_VLTextModel = field(repr=False)  # a notebook would print hundreds of lines
    tokenizer: Qwen2Tokenizer = field(repr=False)
    text_encoder_2: T5EncoderModel = field(repr=False)
    tokenizer_2: ByT5Tokenizer = field(repr=False)
    num_closing_tokens: int

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: str) -> "TextEncoders":
        """Load the text side of a checkpoint, for evaluation; nothing else of it is read.

        Args:
            checkpoint: from `resolve`; what is missing of a hub id is downloaded.
            dtype: "bfloat16" or "float32", whatever the files hold.
        Raises:
            ParamsError: there is no such dtype.
            CheckpointError: a component is missing, damaged, incomplete or of another architecture.
        """
        check_arguments(STAGE, dtype=dtype)
        tokens, tokens_2 = open_component(checkpoint, TOKENIZER), open_component(checkpoint, TOKENIZER_2)
        files, files_2 = open_component(checkpoint, TEXT_ENCODER), open_component(checkpoint, TEXT_ENCODER_2)
        tokenizer = load_tokenizer(Qwen2Tokenizer, tokens)
        tokenizer_2 = load_tokenizer(ByT5Tokenizer, tokens_2)
        num_closing_tokens = count_closing_tokens(tokenizer, tokens.folder)
        config = read_config(QWEN, files, tokenizer, {"num_hidden_layers": count(_MIN_LAYERS)})
        config_2 = read_config(T5, files_2, tokenizer_2, {})
        return cls(
            checkpoint=checkpoint,
            dtype=dtype,
            text_encoder=load_model(Qwen2_5_VLTextModel, QWEN, files, config, dtype=_DTYPES[dtype]),
            tokenizer=tokenizer,
            text_encoder_2=load_model(T5EncoderModel, T5, files_2, config_2, dtype=_DTYPES[dtype]),
            tokenizer_2=tokenizer_2,
            num_closing_tokens=num_closing_tokens,
        )

    def is_of(self, checkpoint: Checkpoint, *, dtype: str) -> bool:
        """Whether `load` would give the same for these arguments."""
        return (self.checkpoint, self.dtype) == (checkpoint, dtype)

    def encode(self, prompt: str, negative_prompt: str = "") -> dict[str, Array]:
        """Encode a prompt and the prompt to stay away from; a Python warning says what of them is not read.

        Args:
            prompt: any text, also empty.
            negative_prompt: any text, also empty; without guidance it has no effect on the video.
        Returns:
            The eight tensors of `encode_prompts`, which `embeddings.safetensors` holds.
        Raises:
            ParamsError: a prompt is no text that UTF-8 can hold.
        """
        check_arguments(STAGE, prompt=prompt, negative_prompt=negative_prompt)
        for text in (prompt, negative_prompt):
            for truncation in find_truncations(self, text):
                warnings.warn(truncation.describe(), stacklevel=2)
        return encode_prompts(self, prompt, negative_prompt, lambda _done, _total: None)


def encode_prompts(
    encoders: TextEncoders, prompt: str, negative_prompt: str, progress: Callable[[int, int], None]
) -> dict[str, Array]:
    """Encode a prompt and the prompt to stay away from.

    Args:
        encoders: of one checkpoint.
        prompt: any text, also empty.
        negative_prompt: any text, also empty.
        progress: called with (prompts done, prompts in all), first with 0.
    Returns:
        The eight tensors of `embeddings.safetensors`: those of `encode_prompt`, and the same with `negative_`
        in front of their names.
    """
    progress(0, 2)
    embeddings = encode_prompt(encoders, prompt)
    progress(1, 2)
    negative = encode_prompt(encoders, negative_prompt)
    progress(2, 2)
    return embeddings | {f"negative_{name}": array for name, array in negative.items()}


def encode_prompt(encoders: TextEncoders, prompt: str) -> dict[str, Array]:
    """Run both text encoders on one prompt.

    Args:
        encoders: of one checkpoint.
        prompt: any text; what is over the encoders' limits is left out (`find_truncations` says what).
    Returns:
        All in the model dtype; a mask is 1 where there is text and 0 where there is padding:
        `prompt_embeds` [1, 1000, width of the language model], `prompt_embeds_mask` [1, 1000],
        `prompt_embeds_2` [1, 256, width of the glyph encoder], `prompt_embeds_mask_2` [1, 256].
        The last two are zeros when the prompt quotes nothing.
    Source:
        `encode_prompt` of diffusers' HunyuanVideo15Pipeline.
    """
    with torch.inference_mode():
        prompt_embeds, prompt_embeds_mask = _encode_chat(encoders, prompt)
        prompt_embeds_2, prompt_embeds_mask_2 = _encode_glyphs(encoders, extract_glyph_text(prompt))
    tensors = {
        "prompt_embeds": prompt_embeds,
        "prompt_embeds_mask": prompt_embeds_mask,
        "prompt_embeds_2": prompt_embeds_2,
        "prompt_embeds_mask_2": prompt_embeds_mask_2,
    }
    return {name: _to_numpy(tensor.to(_DTYPES[encoders.dtype])) for name, tensor in tensors.items()}


def find_truncations(encoders: TextEncoders, prompt: str) -> tuple[Truncation, ...]:
    """What `encode_prompt` leaves out of a prompt, or of its chat's end: an entry for each encoder that truncates."""
    truncations = []
    chat, num_closing = list_tokens(encoders.tokenizer, build_chat(prompt)), encoders.num_closing_tokens
    tokens = chat[NUM_SYSTEM_TOKENS : len(chat) - num_closing]
    if len(tokens) + num_closing > MAX_PROMPT_TOKENS:
        text = _unread_text(encoders.tokenizer, tokens, num_read=MAX_PROMPT_TOKENS)
        truncations.append(Truncation("text_encoder", len(tokens), MAX_PROMPT_TOKENS, text, num_closing))
    glyph_tokens = encoders.tokenizer_2(extract_glyph_text(prompt) or "").input_ids
    if len(glyph_tokens) > MAX_GLYPH_TOKENS:
        # The last token that is read ends the text, however long it was.
        text = _unread_text(encoders.tokenizer_2, glyph_tokens[:-1], num_read=MAX_GLYPH_TOKENS - 1)
        truncations.append(Truncation("text_encoder_2", len(glyph_tokens), MAX_GLYPH_TOKENS, text))
    return tuple(truncations)


def _unread_text(tokenizer: PreTrainedTokenizerBase, tokens: list[int], *, num_read: int) -> str:
    """The characters of a text's tokens that are not wholly among the first `num_read`."""
    whole, read = (str(tokenizer.decode(part)) for part in (tokens, tokens[:num_read]))
    # A token can hold a part of a character; cut there, the text ends in the replacement character or in nothing.
    return whole.removeprefix(read if whole.startswith(read) else read.rstrip(_REPLACEMENT))


def _encode_chat(encoders: TextEncoders, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [1, 1000, width] and mask [1, 1000] of the prompt, after the system tokens are cropped."""
    chat = apply_chat_template(
        encoders.tokenizer,
        build_chat(prompt),
        padding="max_length",
        max_length=NUM_SYSTEM_TOKENS + MAX_PROMPT_TOKENS,
        truncation=True,
    )
    output = encoders.text_encoder(
        input_ids=chat.input_ids, attention_mask=chat.attention_mask, output_hidden_states=True
    )
    hidden_states = output.hidden_states[_HIDDEN_STATE]
    return hidden_states[:, NUM_SYSTEM_TOKENS:], chat.attention_mask[:, NUM_SYSTEM_TOKENS:]


def _encode_glyphs(encoders: TextEncoders, glyph_text: str | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [1, 256, width] and mask [1, 256] of the quoted text, byte by byte; zeros for none."""
    model = encoders.text_encoder_2
    if glyph_text is None:
        embeds = torch.zeros((1, MAX_GLYPH_TOKENS, model.config.d_model), dtype=model.dtype)
        return embeds, torch.zeros((1, MAX_GLYPH_TOKENS), dtype=torch.int64)
    tokens = encoders.tokenizer_2(
        glyph_text,
        padding="max_length",
        max_length=MAX_GLYPH_TOKENS,
        truncation=True,
        add_special_tokens=True,
        return_tensors="pt",
    )
    # The mask is float here and nowhere else: it is what the reference gives T5.
    output = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask.float())
    return output.last_hidden_state, tokens.attention_mask


def _to_numpy(tensor: torch.Tensor) -> Array:
    """The same bits as a numpy array; torch has no conversion for bfloat16."""
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return np.ascontiguousarray(tensor.numpy())
