"""The two text encoders: loading them from a checkpoint's folders, and running them on a prompt, by torch.

Reads the four text components and nothing else of the checkpoint. Which text is encoded is said in prompt.py;
where the folders are and what happens to the tensors is left to the caller.

Source of the numbers and the order of operations: `encode_prompt` of diffusers' HunyuanVideo15Pipeline, whose
results these equal to the bit when both run on one machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    BatchEncoding,
    ByT5Tokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5_VLTextModel,
    Qwen2Tokenizer,
    T5EncoderModel,
)

from stages.encode.prompt import NUM_SYSTEM_TOKENS, Truncation, build_chat, extract_glyph_text
from stages.errors import CheckpointError
from stages.geometry import MAX_GLYPH_TOKENS, MAX_PROMPT_TOKENS
from stages.models.settings import TEXT, Rule, break_rules, count, only, read_settings, refuse_faulty
from stages.pipeline.contract import CONTRACTS
from stages.tensors.files import WeightFiles

Array: TypeAlias = NDArray[Any]
Model = TypeVar("Model", bound=PreTrainedModel)
Tokenizer = TypeVar("Tokenizer", bound=PreTrainedTokenizerBase)

COMPONENTS: Final = CONTRACTS["encode"].components

# The DiT was trained on the output of the third layer from the end: two layers and the last norm are skipped.
_HIDDEN_STATE = -3
_MIN_LAYERS = 2  # so that there are three states: the token embeddings, and one of each layer
_MAX_VOCABULARY = 2**20  # far above any text encoder's
# The system message is cropped from the front and long prompts are truncated at the end: both need text on the left.
_TOKENIZER_RULES: Final[Mapping[str, Rule]] = {
    "padding_side": only("right"),
    "truncation_side": only("right"),
    "pad_token": TEXT,
}
_DTYPES: Mapping[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_MEND = "Download or copy the checkpoint again, or name another one in params/model.toml."


@dataclass(frozen=True)
class TextEncoders:
    """The loaded text side of a checkpoint, ready to encode."""

    text_encoder: Qwen2_5_VLTextModel
    tokenizer: Qwen2Tokenizer
    text_encoder_2: T5EncoderModel
    tokenizer_2: ByT5Tokenizer
    num_closing_tokens: int  # of the chat after the prompt's last token

    @property
    def dtype(self) -> torch.dtype:
        """The model dtype, which all embeddings and masks have."""
        return self.text_encoder.dtype


def load_text_encoders(folders: Mapping[str, Path], *, dtype: str) -> TextEncoders:
    """Load the text side of a checkpoint, for evaluation, on the CPU. Nothing is downloaded.

    Args:
        folders: where each of COMPONENTS lies; other entries are ignored.
        dtype: the model dtype, "bfloat16" or "float32", whatever the files hold.
    Raises:
        CheckpointError: a component is missing, damaged, incomplete or of another architecture.
    """
    tokenizer = _load_tokenizer(Qwen2Tokenizer, folders["tokenizer"])
    tokenizer_2 = _load_tokenizer(ByT5Tokenizer, folders["tokenizer_2"])
    num_closing_tokens = _count_closing_tokens(tokenizer, folders["tokenizer"])
    layers = {"num_hidden_layers": count(_MIN_LAYERS)}
    _check_config(Qwen2_5_VLTextModel, folders["text_encoder"], tokenizer, layers)
    _check_config(T5EncoderModel, folders["text_encoder_2"], tokenizer_2, {})
    return TextEncoders(
        text_encoder=_load_model(Qwen2_5_VLTextModel, folders["text_encoder"], dtype=_DTYPES[dtype]),
        tokenizer=tokenizer,
        text_encoder_2=_load_model(T5EncoderModel, folders["text_encoder_2"], dtype=_DTYPES[dtype]),
        tokenizer_2=tokenizer_2,
        num_closing_tokens=num_closing_tokens,
    )


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
    return {name: _to_numpy(tensor.to(encoders.dtype)) for name, tensor in tensors.items()}


def find_truncations(encoders: TextEncoders, prompt: str) -> tuple[Truncation, ...]:
    """What `encode_prompt` leaves out of a prompt: nothing, or one entry for each encoder that truncates it."""
    truncations = []
    chat = _list_tokens(encoders.tokenizer, build_chat(prompt))
    tokens = chat[NUM_SYSTEM_TOKENS : len(chat) - encoders.num_closing_tokens]
    if len(tokens) > MAX_PROMPT_TOKENS:
        text = str(encoders.tokenizer.decode(tokens[MAX_PROMPT_TOKENS:]))
        truncations.append(Truncation("text_encoder", num_tokens=len(tokens), max_tokens=MAX_PROMPT_TOKENS, text=text))
    glyph_tokens = encoders.tokenizer_2(extract_glyph_text(prompt) or "").input_ids
    if len(glyph_tokens) > MAX_GLYPH_TOKENS:
        # The last token that is read ends the text, however long it was.
        text = str(encoders.tokenizer_2.decode(glyph_tokens[MAX_GLYPH_TOKENS - 1 : -1]))
        num_tokens = len(glyph_tokens)
        truncations.append(Truncation("text_encoder_2", num_tokens=num_tokens, max_tokens=MAX_GLYPH_TOKENS, text=text))
    return tuple(truncations)


def _encode_chat(encoders: TextEncoders, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings [1, 1000, width] and mask [1, 1000] of the prompt, after the system tokens are cropped."""
    chat = _apply_chat_template(
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


def _apply_chat_template(
    tokenizer: Qwen2Tokenizer, messages: list[dict[str, str]], **options: Any
) -> BatchEncoding[torch.Tensor]:
    """Token numbers and mask, [1, length] each, of a chat that waits for the assistant's answer."""
    return cast(
        "BatchEncoding[torch.Tensor]",
        tokenizer.apply_chat_template(
            [messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            **options,
        ),
    )


def _list_tokens(tokenizer: Qwen2Tokenizer, messages: list[dict[str, str]]) -> list[int]:
    """All token numbers of a chat, neither truncated nor padded."""
    return [int(token) for token in _apply_chat_template(tokenizer, messages).input_ids[0]]


def _check_config(
    kind: type[PreTrainedModel], folder: Path, tokenizer: PreTrainedTokenizerBase, rules: Mapping[str, Rule]
) -> None:
    """A model's settings, before its weights are read; `rules` are those that only this kind has."""
    num_tokens = max(tokenizer.get_vocab().values()) + 1
    name = kind.__name__
    common = {
        "architectures": Rule(f"['{name}']", lambda found: found == [name]),
        "vocab_size": count(num_tokens, _MAX_VOCABULARY),
    }
    settings = read_settings(folder / "config.json")
    refuse_faulty(break_rules(settings.values, {**common, **rules}), where=settings.where)


def _load_model(kind: type[Model], folder: Path, *, dtype: torch.dtype) -> Model:
    """A model from its folder, whole: transformers would draw tensors that the files lack at random."""
    WeightFiles(folder)  # headers only: damaged shards and quantised tensors are told as for the other components
    try:
        # A pair comes back, which the annotations of transformers do not know; misshapen tensors are in the
        # report, and raised below.
        loaded: Any = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # whatever its readers raise, it means one thing: the folder cannot be read
        raise CheckpointError(f"{folder}: the weights cannot be read ({_one_line(error)}). {_MEND}") from error
    model, report = cast("tuple[Model, dict[str, Any]]", loaded)
    kinds = {
        "missing": sorted(report["missing_keys"]),
        "spare": sorted(report["unexpected_keys"]),
        "misshapen": [
            f"{name} is {list(found)}, not {list(wanted)}" for name, found, wanted in sorted(report["mismatched_keys"])
        ],
    }
    lines = [f"{len(names)} {fault}: {', '.join(names)}" for fault, names in kinds.items() if names]
    if lines:
        raise CheckpointError("\n  ".join([f"{folder}: the weights do not fit its config.json:", *lines, _MEND]))
    return cast("Model", model.train(False))


def _load_tokenizer(kind: type[Tokenizer], folder: Path) -> Tokenizer:
    """A tokenizer from its folder; transformers would make up an empty one where there is none."""
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        raise CheckpointError(f"{folder}: holds no tokenizer_config.json. {_MEND}")
    try:
        tokenizer = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as in _load_model
        raise CheckpointError(f"{folder}: the tokenizer cannot be read ({_one_line(error)}). {_MEND}") from error
    found = {name: getattr(tokenizer, name) for name in _TOKENIZER_RULES}
    refuse_faulty(break_rules(found, _TOKENIZER_RULES), where=file)
    return cast("Tokenizer", tokenizer)


def _count_closing_tokens(tokenizer: Qwen2Tokenizer, folder: Path) -> int:
    """Tokens of the chat after the prompt, once it is sure that NUM_SYSTEM_TOKENS stand before it."""
    system, user = build_chat("0")
    try:
        chat = _list_tokens(tokenizer, [system, user])
        frame = _list_tokens(tokenizer, [system, {**user, "content": ""}])
    except Exception as error:  # a chat template is a program: it can fail in any way
        raise CheckpointError(f"{folder}: the chat template fails ({_one_line(error)}). {_MEND}") from error
    num_before = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chat, frame, strict=False)))
    if num_before != NUM_SYSTEM_TOKENS:
        raise CheckpointError(
            f"{folder}: the chat has {num_before} tokens before the prompt, in HunyuanVideo-1.5 it has "
            f"{NUM_SYSTEM_TOKENS}. Vocabulary and chat template must be those of Qwen2.5. {_MEND}"
        )
    return len(frame) - num_before


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
