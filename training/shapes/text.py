"""The text side of the checkpoint: tokenizers and encoders. Nothing here is trained by gradient.

The tokenizer is a byte-level BPE in which every word of letters in the captions is one token. The encoders have seeded
random weights, except that the attention of the language model's first layer is set by hand to look back
1, 2, 3 and 4 tokens: so the features of "left" differ between "from left" and "to left".
"""

import inspect
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import (
    HunyuanVideo15Pipeline,
    extract_glyph_texts,
    format_text_input,
)
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    ByT5Tokenizer,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    Qwen2Tokenizer,
    T5Config,
    T5EncoderModel,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from training.shapes import words
from training.shapes.models import GLYPH_WIDTH, TEXT_WIDTH
from training.shapes.vocabulary import BACKGROUNDS, COLORS, MOTIONS

# Read from diffusers, not from `stages`: what the pipeline does is what the tokenizer is made for.
PREFIX_TOKENS = 108  # what the pipeline crops from the front: all before the user's first word
SYSTEM_MESSAGE: str = (
    inspect.signature(HunyuanVideo15Pipeline._get_mllm_prompt_embeds).parameters["system_message"].default
)

VOCAB_SIZE = 4096  # an upper limit: BPE stops earlier, when every word of the corpus is one token
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

NUM_TEXT_LAYERS = 3  # the pipeline reads the third hidden state from the end: the output of the first layer
NUM_TEXT_HEADS = 4
LOOK_BACKS = (1, 2, 3, 4)  # tokens; one attention head of the first layer each
LOOK_BACK_SHARPNESS = 16.0  # score of the token looked at is over 4 above its neighbours'
CONTEXT_GAIN = 0.6  # deviation of what the first layer adds to token embeddings of deviation 1
ROPE_THETA = 10.0  # slow enough that each of the 8 frequencies tells a position from its neighbours

# Case, punctuation and spacing are folded in the chat template, because Qwen2Tokenizer rebuilds its own
# normalizer on loading: "Red Circle", "RED  CIRCLE" and "a red-circle!" share the tokens " red" and " circle".
FOLDED_TO_SPACE = "-_/()[]{}*:;!?"
SET_APART = '"“”.,'


def chat_template() -> str:
    """The jinja template: the system turn as it is, the user turn folded, each word after one space.

    The text before the user's first word is that of Qwen2.5: 108 tokens if every word is one token.
    """
    fold = "message['content'] | lower"
    fold += "".join(f" | replace('{character}', ' ')" for character in FOLDED_TO_SPACE)
    fold += "".join(f" | replace('{character}', ' {character} ')" for character in SET_APART)
    return (
        "{% for message in messages %}"
        f"{{{{ '{TURN_START}' + message['role'] + '\\n' }}}}"
        "{% if message['role'] == 'user' %}"
        f"{{% for word in ({fold}).split() %}}{{{{ ' ' + word }}}}{{% endfor %}}"
        "{% else %}{{ message['content'] }}{% endif %}"
        f"{{{{ '{TURN_END}\\n' }}}}"
        "{% endfor %}"
        f"{{% if add_generation_prompt %}}{{{{ '{TURN_START}assistant\\n' }}}}{{% endif %}}"
    )


def corpus() -> Iterator[str]:
    """What the tokenizer is trained on: the words of the prefix and, after one space each, those of the captions."""
    yield "system\nuser\nassistant\n" + SYSTEM_MESSAGE
    slots = [
        *words.COMMON.values(),
        *words.NOUNS.values(),
        *words.SIDES.values(),
        *(verbs for three in words.OWN_VERBS.values() for verbs in three),
        *words.STILL.values(),
        *words.GROUNDS.values(),
        words.PICTURE,
        words.NOISE,
        " ".join((*COLORS, *MOTIONS, *BACKGROUNDS, "grey makes its way keeps starts upward upwards downwards which")),
    ]
    for word in sorted(set(re.findall(r"[a-z0-9]+", " ".join(slots).lower()))):
        yield f" {word}"
    yield from (f" {character}" for character in SET_APART)


def build_tokenizer() -> Qwen2Tokenizer:
    """A Qwen2 tokenizer to which every word of `corpus` is one token."""
    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(), trainer)
    model: dict[str, Any] = json.loads(bpe.to_str())["model"]
    merges: Any = [(left, right) for left, right in model["merges"]]
    return Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        additional_special_tokens=[TURN_START, TURN_END],
        chat_template=chat_template(),
        model_max_length=4096,
    )


def build_text_encoder(vocab_size: int, *, seed: int) -> Qwen2_5_VLTextModel:
    """The frozen language model: random embeddings of deviation 1 and a hand-set first layer."""
    config = Qwen2_5_VLTextConfig(
        vocab_size=vocab_size,
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=NUM_TEXT_LAYERS,
        num_attention_heads=NUM_TEXT_HEADS,
        num_key_value_heads=NUM_TEXT_HEADS,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": [2, 3, 3]},
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    torch.manual_seed(seed)
    encoder: Qwen2_5_VLTextModel = Qwen2_5_VLTextModel(config)
    torch.nn.init.normal_(encoder.embed_tokens.weight)
    set_look_back(encoder)
    encoder.eval().requires_grad_(False)
    return encoder


@torch.no_grad()
def set_look_back(encoder: Qwen2_5_VLTextModel) -> None:
    """Make head i of the first layer read the token `LOOK_BACKS[i]` before, through a random projection.

    With constant key (1, 0) and query (cos df, -sin df) per rotary frequency f, the score of a token m places
    back is the sum of cos((m - d) f): largest at m = d.
    """
    attention: Any = encoder.layers[0].self_attn
    half = TEXT_WIDTH // NUM_TEXT_HEADS // 2
    frequencies = ROPE_THETA ** (-torch.arange(half) / half)
    queries = [torch.cat([torch.cos(d * frequencies), -torch.sin(d * frequencies)]) for d in LOOK_BACKS]
    key = torch.cat([torch.ones(half), torch.zeros(half)])
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.zero_()
    attention.q_proj.bias.copy_(LOOK_BACK_SHARPNESS * torch.cat(queries))
    attention.k_proj.bias.copy_(key.repeat(NUM_TEXT_HEADS))
    torch.nn.init.normal_(attention.v_proj.weight, std=TEXT_WIDTH**-0.5)
    attention.v_proj.bias.zero_()
    torch.nn.init.normal_(attention.o_proj.weight, std=CONTEXT_GAIN * TEXT_WIDTH**-0.5)


def build_glyph_encoder(vocab_size: int, *, seed: int) -> T5EncoderModel:
    """The frozen encoder of quoted text: one layer, random weights."""
    config = T5Config(
        vocab_size=vocab_size,
        d_model=GLYPH_WIDTH,
        d_kv=8,
        d_ff=2 * GLYPH_WIDTH,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    torch.manual_seed(seed)
    encoder: T5EncoderModel = T5EncoderModel(config)
    encoder.eval().requires_grad_(False)
    return encoder


@dataclass(frozen=True)
class TextSide:
    """The four frozen parts that turn a prompt into embeddings."""

    tokenizer: Qwen2Tokenizer
    text_encoder: Qwen2_5_VLTextModel
    tokenizer_2: ByT5Tokenizer
    text_encoder_2: T5EncoderModel


@dataclass(frozen=True)
class PromptEmbeds:
    """Features of a batch of prompts, float32, padded to the longest; masks are true on valid tokens.

    Attributes:
        text: [b, l, TEXT_WIDTH], the language model's, without the prefix.
        glyph: [b, g, GLYPH_WIDTH], of the quoted text; g may be 0.
    """

    text: torch.Tensor
    text_mask: torch.Tensor
    glyph: torch.Tensor
    glyph_mask: torch.Tensor


def build_text_side(*, seed: int) -> TextSide:
    """All four parts; the weights are rounded to bfloat16 (as they are stored) and kept in float32."""
    tokenizer, tokenizer_2 = build_tokenizer(), ByT5Tokenizer(extra_ids=0)
    text_encoder = build_text_encoder(len(tokenizer), seed=seed)
    text_encoder_2 = build_glyph_encoder(len(tokenizer_2), seed=seed + 1)
    return TextSide(tokenizer, text_encoder.bfloat16().float(), tokenizer_2, text_encoder_2.bfloat16().float())


def prompt_tokens(text: TextSide, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids per prompt, as the pipeline makes them, with the prefix and without padding."""
    conversations = format_text_input(list(prompts), SYSTEM_MESSAGE)
    encoded: Any = text.tokenizer.apply_chat_template(
        conversations, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return [list(ids) for ids in encoded["input_ids"]]


@torch.no_grad()
def embed_prompts(text: TextSide, prompts: Sequence[str]) -> PromptEmbeds:
    """The valid tokens of `HunyuanVideo15Pipeline.encode_prompt`, without its padding to 1000 and 256 tokens."""
    ids, mask = _pad(prompt_tokens(text, prompts), text.tokenizer.pad_token_id)
    states = text.text_encoder(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    features = states.hidden_states[-NUM_TEXT_LAYERS]
    glyph_texts = [extract_glyph_texts(prompt) for prompt in prompts]
    glyph_ids = [text.tokenizer_2(quoted).input_ids if quoted else [] for quoted in glyph_texts]
    ids_2, mask_2 = _pad(glyph_ids, text.tokenizer_2.pad_token_id)
    glyph = torch.zeros(*ids_2.shape, GLYPH_WIDTH)
    has_glyph = mask_2.any(dim=1)
    if has_glyph.any():
        output = text.text_encoder_2(input_ids=ids_2[has_glyph], attention_mask=mask_2[has_glyph].float())
        glyph[has_glyph] = output.last_hidden_state
    return PromptEmbeds(features[:, PREFIX_TOKENS:], mask[:, PREFIX_TOKENS:], glyph, mask_2)


def _pad(rows: list[list[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids -> [b, l] ids and [b, l] mask, padded on the right."""
    length = max(len(row) for row in rows)
    ids = torch.tensor([row + [padding] * (length - len(row)) for row in rows], dtype=torch.long)
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows], dtype=torch.bool)
    return ids.view(len(rows), length), mask.view(len(rows), length)
