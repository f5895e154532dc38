"""The text that the encoders are given."""

import pytest

from stages.encode.prompt import SYSTEM_MESSAGE, Truncation, build_chat, extract_glyph_text, find_quotations


def test_the_chat_is_the_system_message_and_the_prompt():
    assert build_chat("a red circle") == [
        {"role": "system", "content": SYSTEM_MESSAGE},
        {"role": "user", "content": "a red circle"},
    ]


def test_an_empty_prompt_becomes_one_space():
    assert build_chat("")[1]["content"] == " "


def test_a_blank_prompt_stays_as_it_is():
    assert build_chat("  \n")[1]["content"] == "  \n"


def test_the_system_message_keeps_its_white_space():
    assert SYSTEM_MESSAGE.startswith("You are a helpful assistant. Describe the video by detailing")
    assert SYSTEM_MESSAGE.endswith("transitions used in the video.")
    assert [SYSTEM_MESSAGE.count(f" {' ' * 8}{number}. ") for number in range(1, 6)] == [1, 1, 1, 1, 1]
    assert "\n" not in SYSTEM_MESSAGE
    assert len(SYSTEM_MESSAGE) == 477


@pytest.mark.parametrize(
    ("prompt", "quotations"),
    [
        ('a sign "STOP" and a sign “GO”', ["STOP", "GO"]),
        ('"a" and "b" and "a"', ["a", "b"]),
        ('a board, 6" wide', []),
        ('"a\nb"', []),
        ('an empty sign, ""', [""]),
        ("“a", []),
    ],
)
def test_what_stands_in_double_quotes_is_found_once(prompt: str, quotations: list[str]):
    assert find_quotations(prompt) == quotations


@pytest.mark.parametrize(
    ("prompt", "glyph_text"),
    [
        ("a red circle", None),
        ("", None),
        ('a sign that says "OPEN"', 'Text "OPEN". '),
        ("a sign that says “OPEN”", 'Text "OPEN". '),
        ('"one" and "two"', 'Text "one". Text "two". '),
        ('“two” and "one"', 'Text "two". Text "one". '),
        ('"one", "one" and “one”', 'Text "one". '),
        ('an empty pair ""', 'Text "". '),
        ('only one " mark', None),
        ("only one “ mark", None),
        ("curly the wrong way ”OPEN“", None),
        ('three " marks " and "', 'Text " marks ". '),
        ('over a "line\nbreak"', None),
        ('“a "nested" word”', 'Text "a "nested" word". '),
        ("'single quotes'", None),
        ('a sign "猫 ☕"', 'Text "猫 ☕". '),
    ],
)
def test_quoted_text_becomes_glyph_text(prompt, glyph_text):
    assert extract_glyph_text(prompt) == glyph_text


def test_a_truncation_is_described_with_what_is_left_out():
    truncation = Truncation("text_encoder", num_tokens=1003, max_tokens=1000, text=" to the right")
    assert truncation.num_unread_tokens == 3
    assert truncation.describe() == (
        "the prompt has 1003 tokens and only the first 1000 are read; the last 3 are left out: ' to the right'"
    )


def test_a_truncation_within_a_chat_names_the_closing_tokens_as_well():
    truncation = Truncation("text_encoder", 1003, 1000, " to the right", num_closing_tokens=5)
    assert truncation.describe() == (
        "the prompt has 1003 tokens and only the first 1000 are read; the last 3 are left out: ' to the right', and "
        "the 5 tokens that close the chat"
    )


@pytest.mark.parametrize(("num_tokens", "num_left_out"), [(996, 1), (998, 3), (1000, 5)])
def test_a_prompt_that_fills_the_chat_is_described_by_what_is_left_out_of_its_end(num_tokens, num_left_out):
    truncation = Truncation("text_encoder", num_tokens, 1000, "", num_closing_tokens=5)
    assert truncation.describe() == (
        f"the prompt has {num_tokens} tokens and fills the chat: all of it is read, but of the 5 tokens that close the "
        f"chat the last {num_left_out} are left out. With 995 tokens or fewer, nothing is."
    )


def test_a_long_truncation_is_described_by_its_beginning():
    truncation = Truncation("text_encoder_2", num_tokens=600, max_tokens=256, text="x" * 344)
    assert truncation.describe() == (
        "the quoted text of the prompt has 600 tokens and only the first 256 are read; "
        f"the last 344 are left out: '{'x' * 200}…'"
    )
