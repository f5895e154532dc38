"""Loading the text encoders and running them. That they equal diffusers is tested in parity/."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from stages.encode.text_encoders import encode_prompt, encode_prompts, find_truncations, load_text_encoders
from stages.errors import CheckpointError

MEND = "Download or copy the checkpoint again, or name another one in params/model.toml."
OTHER = "Use a checkpoint of HunyuanVideo-1.5; if it is one, download or copy it again."


def no_progress(_done: int, _total: int) -> None:
    """For calls whose progress nobody looks at."""


@pytest.fixture(scope="module")
def encoders(shapes):
    return load_text_encoders(shapes, dtype="bfloat16")


@pytest.fixture
def copied(shapes, tmp_path):
    """The same components in a folder of their own, for tests that damage them."""
    return {name: shutil.copytree(folder, tmp_path / name) for name, folder in shapes.items()}


def message(folders) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_text_encoders(folders, dtype="bfloat16")
    return str(caught.value)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_the_models_are_loaded_for_evaluation_in_the_asked_dtype(shapes):
    for dtype in (torch.float32, torch.bfloat16):
        encoders = load_text_encoders(shapes, dtype=str(dtype).removeprefix("torch."))
        for model in (encoders.text_encoder, encoders.text_encoder_2):
            assert {parameter.dtype for parameter in model.parameters()} == {dtype}
            assert not any(module.training for module in model.modules())


@pytest.mark.parametrize(("name", "dtype"), [("bfloat16", ml_dtypes.bfloat16), ("float32", np.float32)])
def test_embeddings_have_the_contracts_names_shapes_and_dtype(shapes, name, dtype):
    encoders = load_text_encoders(shapes, dtype=name)
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
    again = load_text_encoders(shapes, dtype="bfloat16")
    prompt = 'a red circle and "words"'
    first = encode_prompt(encoders, prompt)
    for other in (encode_prompt(encoders, prompt), encode_prompt(again, prompt)):
        assert {name: array.tobytes() for name, array in other.items()} == {
            name: array.tobytes() for name, array in first.items()
        }


def test_a_prompt_within_the_limits_is_not_truncated(encoders):
    assert find_truncations(encoders, "") == ()
    assert find_truncations(encoders, "red " * 1000) == ()
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


def test_another_architecture_is_an_error(copied):
    path = copied["text_encoder"] / "config.json"
    path.write_text(json.dumps({"architectures": ["LlamaModel"]}))
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`vocab_size` is missing",
            "`num_hidden_layers` is missing",
            "`architectures` is ['LlamaModel'], not ['Qwen2_5_VLTextModel']",
            OTHER,
        ]
    )


def test_all_settings_that_cannot_be_run_are_told_at_once(copied):
    path = edit_json(copied["text_encoder"] / "config.json", num_hidden_layers=1, vocab_size=1238)
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`vocab_size` is 1238, not a whole number from 1239 to 1048576",  # the tokenizer has 1239 tokens
            "`num_hidden_layers` is 1, not a whole number from 2 to 65536",
            OTHER,
        ]
    )


def test_a_glyph_vocabulary_smaller_than_its_tokenizer_is_an_error(copied):
    path = edit_json(copied["text_encoder_2"] / "config.json", vocab_size=258)
    rule = "`vocab_size` is 258, not a whole number from 259 to 1048576"
    assert message(copied) == f"{path}: this checkpoint cannot be run:\n  {rule}\n  {OTHER}"


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_a_tokenizer_that_works_from_the_left_is_an_error(copied, name):
    path = edit_json(copied[name] / "tokenizer_config.json", padding_side="left", truncation_side="left")
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`padding_side` is 'left', not 'right'",
            "`truncation_side` is 'left', not 'right'",
            OTHER,
        ]
    )


def test_a_missing_configuration_is_an_error(copied):
    path = copied["text_encoder_2"] / "config.json"
    path.unlink()
    with pytest.raises(CheckpointError) as caught:
        load_text_encoders(copied, dtype="bfloat16")
    assert str(caught.value) == (
        f"{path}: cannot be read (No such file or directory). Download or copy the checkpoint again."
    )


def test_weights_that_are_not_there_are_an_error(copied):
    (copied["text_encoder"] / "model.safetensors").unlink()
    assert message(copied) == (
        f"{copied['text_encoder']}: holds no diffusion_pytorch_model.safetensors or model.safetensors. "
        "The checkpoint is incomplete; download or copy it again."
    )


def test_weights_cut_short_are_an_error(copied):
    path = copied["text_encoder_2"] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert message(copied).startswith(f"{path}: not a readable safetensors file (")


def test_weights_that_only_transformers_cannot_read_are_an_error(copied):
    edit_json(copied["text_encoder"] / "config.json", hidden_act="no such function")
    told = message(copied)
    assert told.startswith(f"{copied['text_encoder']}: the weights cannot be read (")
    assert told.endswith(f"). {MEND}")


def test_quantised_weights_are_an_error(copied):
    path = copied["text_encoder"] / "model.safetensors"
    tensors = load_file(path)
    tensors["norm.weight"] = np.ones(64, np.int8)
    save_file(tensors, path, metadata={"format": "pt"})
    assert message(copied) == (
        f"{copied['text_encoder']}: weights must be F32, F16 or BF16, but norm.weight is I8. "
        "Quantised weights are not supported; name another checkpoint in params/model.toml."
    )


def test_pickled_weights_are_not_read(copied):
    path = copied["text_encoder"] / "model.safetensors"
    torch.save({name: torch.zeros(1) for name in load_file(path)}, path.with_name("pytorch_model.bin"))
    path.unlink()
    assert message(copied).startswith(f"{copied['text_encoder']}: holds no ")


def test_all_tensors_that_do_not_fit_are_told_at_once(copied):
    path = copied["text_encoder"] / "model.safetensors"
    tensors = load_file(path)
    del tensors["layers.1.mlp.up_proj.weight"], tensors["layers.0.mlp.up_proj.weight"]
    tensors["layers.2.self_attn.q_proj.bias"] = np.zeros(63, np.float32)
    tensors["lm_head.weight"] = np.zeros((2, 2), np.float32)
    save_file(tensors, path, metadata={"format": "pt"})
    assert message(copied) == "\n  ".join(
        [
            f"{copied['text_encoder']}: the weights do not fit its config.json:",
            "2 missing: layers.0.mlp.up_proj.weight, layers.1.mlp.up_proj.weight",
            "1 spare: lm_head.weight",
            "1 misshapen: layers.2.self_attn.q_proj.bias is [63], not [64]",
            MEND,
        ]
    )


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_a_missing_tokenizer_is_an_error(copied, name):
    shutil.rmtree(copied[name])
    with pytest.raises(CheckpointError) as caught:
        load_text_encoders(copied, dtype="bfloat16")
    assert str(caught.value) == f"{copied[name]}: holds no tokenizer_config.json. {MEND}"


def test_a_tokenizer_without_its_chat_template_is_an_error(copied):
    (copied["tokenizer"] / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError) as caught:
        load_text_encoders(copied, dtype="bfloat16")
    assert str(caught.value).startswith(f"{copied['tokenizer']}: the chat template fails (")


def test_a_chat_of_another_length_is_an_error(copied):
    path = copied["tokenizer"] / "chat_template.jinja"
    path.write_text("red" + path.read_text())
    with pytest.raises(CheckpointError) as caught:
        load_text_encoders(copied, dtype="bfloat16")
    told = str(caught.value)
    assert told.startswith(f"{copied['tokenizer']}: the chat has ")
    assert told.endswith(
        f" tokens before the prompt, in HunyuanVideo-1.5 it has 108. "
        f"Vocabulary and chat template must be those of Qwen2.5. {MEND}"
    )


def test_a_vocabulary_that_is_not_there_is_an_error(copied):
    (copied["tokenizer"] / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="tokens before the prompt"):
        load_text_encoders(copied, dtype="bfloat16")
