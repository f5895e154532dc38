"""Text in, text out: what the two text encoders are given for a prompt.

Owns the system message, the chat messages, the quotations of a prompt and the form in which they are encoded. Tokens
and tensors are left to text_encoders.py; nothing here loads torch.
"""

import re
from dataclasses import dataclass

# The gaps are tokens too: with other white space the text before the prompt is not NUM_SYSTEM_TOKENS long.
_GAP = " " * 9
SYSTEM_MESSAGE = _GAP.join(
    (
        "You are a helpful assistant. Describe the video by detailing the following aspects:",
        "1. The main content and theme of the video.",
        "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.",
        "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects.",
        "4. background environment, light, style and atmosphere.",
        "5. camera angles, movements, and transitions used in the video.",
    )
)
NUM_SYSTEM_TOKENS = 108  # of the chat before the prompt's first token: the system turn and the user turn's head
_EMPTY_PROMPT = " "  # an empty user turn is not what the checkpoint was trained with

_MAX_SHOWN_CHARACTERS = 200  # of the words that a warning repeats
_QUOTED = re.compile(r'"([^"\n]*)"|“([^”\n]*)”')


@dataclass(frozen=True)
class Truncation:
    """What one text encoder does not read, because a prompt is longer than its limit.

    Attributes:
        encoder: the component's name, "text_encoder" or "text_encoder_2".
        num_tokens: of the whole prompt; of quoted text, with the one that ends it.
        max_tokens: that are read.
        text: the words that are not read, or read in part; "" where all are read.
        num_closing_tokens: of the chat after the prompt, which stand within the same limit.
    """

    encoder: str
    num_tokens: int
    max_tokens: int
    text: str
    num_closing_tokens: int = 0

    @property
    def num_unread_tokens(self) -> int:
        """Tokens of the prompt that are not read."""
        return max(0, self.num_tokens - self.max_tokens)

    @property
    def num_unread_closing_tokens(self) -> int:
        """Tokens that close the chat, and that are not read."""
        return min(self.num_closing_tokens, self.num_tokens + self.num_closing_tokens - self.max_tokens)

    def describe(self) -> str:
        """For a warning: how long the text is, how much is read, which words and how much of the chat's end are not."""
        what = "prompt" if self.encoder == "text_encoder" else "quoted text of the prompt"
        if not self.num_unread_tokens:
            return (
                f"the {what} has {self.num_tokens} tokens and fills the chat: all of it is read, but of the "
                f"{self.num_closing_tokens} tokens that close the chat the last {self.num_unread_closing_tokens} are "
                f"left out. With {self.max_tokens - self.num_closing_tokens} tokens or fewer, nothing is."
            )
        shown = self.text if len(self.text) <= _MAX_SHOWN_CHARACTERS else self.text[:_MAX_SHOWN_CHARACTERS] + "…"
        closing = f", and the {self.num_closing_tokens} tokens that close the chat" if self.num_closing_tokens else ""
        return (
            f"the {what} has {self.num_tokens} tokens and only the first {self.max_tokens} are read; "
            f"the last {self.num_unread_tokens} are left out: {shown!r}{closing}"
        )


def build_chat(prompt: str) -> list[dict[str, str]]:
    """The chat whose tokens the language model reads: the system message and the prompt as the user's turn.

    Args:
        prompt: any text; an empty one becomes a single space.
    Returns:
        Two messages with `role` and `content`, as a tokenizer's chat template takes them.
    Source:
        `format_text_input` of diffusers' HunyuanVideo15Pipeline.
    """
    return [
        {"role": "system", "content": SYSTEM_MESSAGE},
        {"role": "user", "content": prompt or _EMPTY_PROMPT},
    ]


def find_quotations(prompt: str) -> list[str]:
    """The texts in straight or curly double quotes, in order, each once. A quotation does not cross a line break.

    Source:
        `extract_glyph_texts` of diffusers' HunyuanVideo15Pipeline.
    """
    return list(dict.fromkeys(straight or curly for straight, curly in _QUOTED.findall(prompt)))


def extract_glyph_text(prompt: str) -> str | None:
    """The text that the video shall show in letters: the quotations of the prompt, as ByT5 reads them.

    Args:
        prompt: any text.
    Returns:
        `Text "..."` for each quotation, in order, each followed by a full stop and a space; None when there is no
        quotation.
    Source:
        `extract_glyph_texts` of diffusers' HunyuanVideo15Pipeline.
    """
    return "".join(f'Text "{quotation}". ' for quotation in find_quotations(prompt)) or None
