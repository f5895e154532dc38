"""The tokens of a chat, and what is said of a tokenizer that makes others."""

import pytest
from transformers import Qwen2Tokenizer

from stages.encode.chat import count_closing_tokens, list_tokens
from stages.encode.components import load_tokenizer
from stages.encode.prompt import NUM_SYSTEM_TOKENS, build_chat
from stages.encode.text_encoders import TextEncoders
from stages.errors import CheckpointError
from stages.models.checkpoint import open_component
from stages.pipeline.encode import TOKENIZER
from tests.checkpoints import edit_json

COPY_AGAIN = "Download or copy the checkpoint again, or name another one in params/model.toml."


def test_a_chat_is_the_system_messages_tokens_then_the_prompts_then_the_closing_ones(shapes):
    files = open_component(shapes, TOKENIZER)
    tokenizer = load_tokenizer(Qwen2Tokenizer, files)
    num_closing = count_closing_tokens(tokenizer, files.folder)
    chats = [list_tokens(tokenizer, build_chat(prompt)) for prompt in ("red", "blue circle")]
    assert [len(chat) - NUM_SYSTEM_TOKENS - num_closing for chat in chats] == [1, 2]
    assert chats[0][:NUM_SYSTEM_TOKENS] == chats[1][:NUM_SYSTEM_TOKENS]
    assert chats[0][-num_closing:] == chats[1][-num_closing:]


def test_a_tokenizer_without_its_chat_template_is_an_error(copied):
    (copied.folder / "tokenizer" / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError) as caught:
        TextEncoders.load(copied, dtype="bfloat16")
    assert str(caught.value).startswith(f"{copied.folder / 'tokenizer'}: the chat template fails (")


def test_a_chat_of_another_length_is_an_error(copied):
    path = copied.folder / "tokenizer" / "chat_template.jinja"
    path.write_text("red" + path.read_text())
    with pytest.raises(CheckpointError) as caught:
        TextEncoders.load(copied, dtype="bfloat16")
    text = str(caught.value)
    assert text.startswith(f"{copied.folder / 'tokenizer'}: the chat has ")
    assert text.endswith(
        f" tokens before the prompt, in HunyuanVideo-1.5 it has 108. "
        f"Vocabulary and chat template must be those of Qwen2.5. {COPY_AGAIN}"
    )


def test_another_vocabulary_is_an_error(copied):
    model = {"type": "BPE", "vocab": {"red": 0, "blue": 1}, "merges": []}
    edit_json(copied.folder / "tokenizer" / "tokenizer.json", model=model)
    with pytest.raises(CheckpointError, match="tokens before the prompt"):
        TextEncoders.load(copied, dtype="bfloat16")
