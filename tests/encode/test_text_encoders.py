"""Loading the text encoders and running them. That they equal diffusers is tested in parity/."""

import ml_dtypes
import numpy as np
import pytest
import torch

from stages.encode.chat import apply_chat_template, list_tokens
from stages.encode.prompt import build_chat, extract_glyph_text
from stages.encode.text_encoders import TextEncoders, encode_prompt, encode_prompts, find_truncations
from stages.errors import ParamsError


def no_progress(_done: int, _total: int) -> None:
    """For calls whose progress nobody looks at."""


@pytest.fixture(scope="module")
def encoders(shapes):
    return TextEncoders.load(shapes, dtype="bfloat16")


def test_the_models_are_loaded_for_evaluation_in_the_asked_dtype(shapes):
    for dtype in (torch.float32, torch.bfloat16):
        encoders = TextEncoders.load(shapes, dtype=str(dtype).removeprefix("torch."))
        for model in (encoders.text_encoder, encoders.text_encoder_2):
            assert {parameter.dtype for parameter in model.parameters()} == {dtype}
            assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", ml_dtypes.bfloat16), ("float32", np.float32)])
def test_embeddings_have_the_contracts_names_shapes_and_dtype(shapes, name, dtype):
    encoders = TextEncoders.load(shapes, dtype=name)
    width, width_2 = encoders.text_encoder.config.hidden_size, encoders.text_encoder_2.config.d_model
    embeddings = encode_prompts(encoders, "a red circle", "", no_progress)
    shapes_by_name = {
        "prompt_embeds": (1, 1000, width),
        "prompt_embeds_mask": (1, 1000),
        "prompt_embeds_2": (1, 256, width_2),
        "prompt_embeds_mask_2": (1, 256),
    }
    wanted = shapes_by_name | {f"negative_{name}": shape for name, shape in shapes_by_name.items()}
    assert {name: array.shape for name, array in embeddings.items()} == wanted
    assert {array.dtype for array in embeddings.values()} == {np.dtype(dtype)}


def test_the_negative_prompt_is_encoded_like_a_prompt(encoders):
    embeddings = encode_prompts(encoders, "a red circle", 'not "this"', no_progress)
    for name, array in encode_prompt(encoders, 'not "this"').items():
        assert embeddings[f"negative_{name}"].tobytes() == array.tobytes()


def test_another_word_gives_other_embeddings(encoders):
    embeddings = [encode_prompt(encoders, f"a {word} circle")["prompt_embeds"] for word in ("red", "blue")]
    assert embeddings[0].tobytes() != embeddings[1].tobytes()


def test_progress_counts_both_prompts(encoders):
    seen = []
    encode_prompts(encoders, "a red circle", "", lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_the_mask_counts_the_tokens_of_the_prompt_and_of_the_chats_end(encoders):
    for num_words in (1, 2, 7):
        mask = encode_prompt(encoders, "red " * num_words)["prompt_embeds_mask"][0].astype(int)
        num_tokens = num_words + encoders.num_closing_tokens
        assert mask.tolist() == [1] * num_tokens + [0] * (1000 - num_tokens)


def test_without_quoted_text_the_second_encoder_gives_zeros(encoders):
    embeddings = encode_prompt(encoders, "a red circle")
    assert not embeddings["prompt_embeds_2"].any()
    assert not embeddings["prompt_embeds_mask_2"].any()


def test_quoted_text_is_read_byte_by_byte(encoders):
    embeddings = encode_prompt(encoders, 'a sign "猫"')
    num_bytes = len('Text "猫". '.encode())
    assert embeddings["prompt_embeds_mask_2"].astype(int).sum() == num_bytes + 1  # and the end of the text
    assert embeddings["prompt_embeds_2"].any()


def test_two_loads_and_two_encodes_give_the_same_bytes(shapes, encoders):
    again = TextEncoders.load(shapes, dtype="bfloat16")
    prompt = 'a red circle and "words"'
    first = encode_prompt(encoders, prompt)
    for other in (encode_prompt(encoders, prompt), encode_prompt(again, prompt)):
        assert {name: array.tobytes() for name, array in other.items()} == {
            name: array.tobytes() for name, array in first.items()
        }


def test_a_prompt_within_the_limits_is_not_truncated(encoders):
    assert find_truncations(encoders, "") == ()
    assert find_truncations(encoders, "red " * (1000 - encoders.num_closing_tokens)) == ()
    num_free = 256 - len('Text "". ') - 1  # the last token is the end of the text
    assert find_truncations(encoders, f'"{"x" * num_free}"') == ()


def test_a_truncation_names_the_words_that_are_not_read(encoders):
    (truncation,) = find_truncations(encoders, "red " * 1000 + "blue circle")
    assert (truncation.encoder, truncation.num_tokens, truncation.max_tokens, truncation.text) == (
        "text_encoder",
        1002,
        1000,
        " blue circle",
    )


@pytest.mark.parametrize("num_words", [994, 995, 996, 998, 1000, 1001])
def test_what_is_said_to_be_left_out_is_what_transformers_leaves_out(encoders, num_words):
    chat = list_tokens(encoders.tokenizer, build_chat("red " * num_words))
    read = apply_chat_template(
        encoders.tokenizer, build_chat("red " * num_words), padding="max_length", max_length=108 + 1000, truncation=True
    )
    num_left_out = len(chat) - int(read.attention_mask.sum())
    assert num_left_out == max(0, num_words + encoders.num_closing_tokens - 1000)
    found = find_truncations(encoders, "red " * num_words)
    assert sum(each.num_unread_tokens + each.num_unread_closing_tokens for each in found) == num_left_out
    assert [each.text for each in found] == ([" red" * (num_words - min(num_words, 1000))] if num_left_out else [])


@pytest.mark.parametrize(
    ("quoted", "unread"),
    [
        ("x" * 246, None),  # 255 bytes and the end of the text
        ("x" * 247, " "),
        ("x" * 248, ". "),
        ("x" * 247 + "猫猫", '猫猫". '),  # two of the first one's three bytes are read
        ("x" * 246 + "猫猫", '猫". '),
        ("</s>" + "x" * 250, 'xx". '),  # one token, and four bytes
    ],
)
def test_quoted_text_is_cut_at_the_byte_where_transformers_cuts_it(encoders, quoted, unread):
    glyph_text = extract_glyph_text(f'"{quoted}"')
    whole = encoders.tokenizer_2(glyph_text).input_ids
    read = encoders.tokenizer_2(glyph_text, max_length=256, truncation=True).input_ids
    assert (len(whole) > len(read)) == (unread is not None)
    assert [each.text for each in find_truncations(encoders, f'"{quoted}"')] == ([] if unread is None else [unread])


def test_a_character_of_which_a_part_is_read_is_named_whole(encoders):
    (truncation,) = find_truncations(encoders, "red " * 998 + "😀😀")
    assert truncation.text == "😀😀"


def test_words_beyond_the_limit_change_no_embedding(encoders):
    base = encode_prompt(encoders, "red " * 1000 + "blue")
    other = encode_prompt(encoders, "red " * 1000 + "green square")
    assert {name: array.tobytes() for name, array in base.items()} == {
        name: array.tobytes() for name, array in other.items()
    }


def test_a_truncation_of_quoted_text_names_the_letters_that_are_not_read(encoders):
    num_read = 255 - len('Text "')  # the 256th token is the end of the text
    (truncation,) = find_truncations(encoders, f'"{"x" * num_read}yz"')
    assert (truncation.encoder, truncation.num_tokens, truncation.max_tokens) == ("text_encoder_2", 256 + 5, 256)
    assert truncation.text == 'yz". '


def test_both_encoders_can_truncate(encoders):
    truncations = find_truncations(encoders, f'"{"x" * 300}"' + " red" * 1000)
    assert [truncation.encoder for truncation in truncations] == ["text_encoder", "text_encoder_2"]


def test_the_object_encodes_what_its_functions_do(encoders):
    embeddings = encoders.encode('a "red" circle', "blurry")
    expected = encode_prompts(encoders, 'a "red" circle', "blurry", no_progress)
    assert {name: array.tobytes() for name, array in embeddings.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_without_a_negative_prompt_the_object_encodes_an_empty_one(encoders):
    negative = encoders.encode("a red circle")["negative_prompt_embeds"]
    assert negative.tobytes() == encode_prompt(encoders, "")["prompt_embeds"].tobytes()


def test_the_object_warns_of_what_it_does_not_read_of_either_prompt(encoders):
    with pytest.warns(UserWarning, match="the prompt has 1001 tokens and only the first 1000 are read") as caught:
        encoders.encode("red " * 1001, "red " * 1001)
    assert len(caught) == 2


def test_a_dtype_that_no_model_has_is_refused_before_anything_is_read(shapes):
    with pytest.raises(ParamsError) as caught:
        TextEncoders.load(shapes, dtype="float16")
    assert str(caught.value) == "arguments, encode.dtype = \"float16\": must be 'bfloat16' or 'float32'."


def test_a_prompt_that_is_no_text_is_refused(encoders):
    with pytest.raises(ParamsError) as caught:
        encoders.encode("a red circle", "\ud800")
    assert str(caught.value) == 'arguments, encode.negative_prompt = "\\ud800": is not valid UTF-8 text.'
