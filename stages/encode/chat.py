"""The tokens of a chat, as the language model's tokenizer and its chat template make them.

Owns the use of the template, and the check that it is the one that the checkpoint was trained with. The messages are
in prompt.py.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import torch
from transformers import BatchEncoding, Qwen2Tokenizer

from stages.encode.components import COPY_AGAIN, one_line
from stages.encode.prompt import NUM_SYSTEM_TOKENS, build_chat
from stages.errors import CheckpointError


def apply_chat_template(
    tokenizer: Qwen2Tokenizer, messages: list[dict[str, str]], **options: Any
) -> BatchEncoding[torch.Tensor]:
    """Token numbers and mask, int64 [1, length] each, of a chat that waits for the assistant's answer.

    `options` are those of transformers for padding and truncation.
    """
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


def list_tokens(tokenizer: Qwen2Tokenizer, messages: list[dict[str, str]]) -> list[int]:
    """All token numbers of a chat, neither truncated nor padded."""
    return [int(token) for token in apply_chat_template(tokenizer, messages).input_ids[0]]


def count_closing_tokens(tokenizer: Qwen2Tokenizer, folder: Path) -> int:
    """The number of tokens after the prompt in a chat.

    Args:
        tokenizer: of the language model.
        folder: that it was read from, for messages.
    Raises:
        CheckpointError: the chat template fails, or the chat does not have NUM_SYSTEM_TOKENS before the prompt.
    """
    system, user = build_chat("0")
    try:
        chat = list_tokens(tokenizer, [system, user])
        frame = list_tokens(tokenizer, [system, {**user, "content": ""}])
    except Exception as error:  # a chat template is a program: it can fail in any way
        raise CheckpointError(f"{folder}: the chat template fails ({one_line(error)}). {COPY_AGAIN}") from error
    num_before = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chat, frame, strict=False)))
    if num_before != NUM_SYSTEM_TOKENS:
        raise CheckpointError(
            f"{folder}: the chat has {num_before} tokens before the prompt, in HunyuanVideo-1.5 it has "
            f"{NUM_SYSTEM_TOKENS}. Vocabulary and chat template must be those of Qwen2.5. {COPY_AGAIN}"
        )
    return len(frame) - num_before
