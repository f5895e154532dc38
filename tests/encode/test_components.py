"""What is said of a tokenizer or model that does not fit. That they are what diffusers loads is tested in parity/."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from stages.encode.text_encoders import TextEncoders
from stages.errors import CheckpointError

COPY_AGAIN = "Download or copy the checkpoint again, or name another one in params/model.toml."
OTHER = "Use a checkpoint of HunyuanVideo-1.5; if it is one, download or copy it again."


def message(checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        TextEncoders.load(checkpoint, dtype="bfloat16")
    return str(caught.value)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_another_architecture_is_an_error(copied):
    path = copied.folder / "text_encoder" / "config.json"
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


def test_all_settings_that_cannot_be_run_are_reported_at_once(copied):
    path = edit_json(copied.folder / "text_encoder" / "config.json", num_hidden_layers=1, vocab_size=1238)
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`vocab_size` is 1238, not a whole number from 1239 to 1048576",  # the tokenizer has 1239 tokens
            "`num_hidden_layers` is 1, not a whole number from 2 to 65536",
            OTHER,
        ]
    )


def test_a_glyph_vocabulary_smaller_than_its_tokenizer_is_an_error(copied):
    path = edit_json(copied.folder / "text_encoder_2" / "config.json", vocab_size=258)
    rule = "`vocab_size` is 258, not a whole number from 259 to 1048576"
    assert message(copied) == f"{path}: this checkpoint cannot be run:\n  {rule}\n  {OTHER}"


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_a_tokenizer_that_works_from_the_left_is_an_error(copied, name):
    path = edit_json(copied.folder / name / "tokenizer_config.json", padding_side="left", truncation_side="left")
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`padding_side` is 'left', not 'right'",
            "`truncation_side` is 'left', not 'right'",
            OTHER,
        ]
    )


def test_a_missing_configuration_is_an_error(copied):
    path = copied.folder / "text_encoder_2" / "config.json"
    path.unlink()
    with pytest.raises(CheckpointError) as caught:
        TextEncoders.load(copied, dtype="bfloat16")
    assert str(caught.value) == (
        f"{path}: cannot be read (No such file or directory). Download or copy the checkpoint again."
    )


def test_weights_that_are_not_there_are_an_error(copied):
    (copied.folder / "text_encoder" / "model.safetensors").unlink()
    assert message(copied) == (
        f"{copied.folder / 'text_encoder'}: holds no diffusion_pytorch_model.safetensors or model.safetensors. "
        "The checkpoint is incomplete; download or copy it again."
    )


def test_weights_cut_short_are_an_error(copied):
    path = copied.folder / "text_encoder_2" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert message(copied).startswith(f"{path}: not a readable safetensors file (")


def test_weights_that_only_transformers_cannot_read_are_an_error(copied):
    edit_json(copied.folder / "text_encoder" / "config.json", hidden_act="no such function")
    text = message(copied)
    assert text.startswith(f"{copied.folder / 'text_encoder'}: the weights cannot be read (")
    assert text.endswith(f"). {COPY_AGAIN}")


def test_quantised_weights_are_an_error(copied):
    path = copied.folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    tensors["norm.weight"] = np.ones(64, np.int8)
    save_file(tensors, path, metadata={"format": "pt"})
    assert message(copied) == (
        f"{copied.folder / 'text_encoder'}: weights must be F32, F16 or BF16, but norm.weight is I8. "
        "Quantised weights are not supported; name another checkpoint in params/model.toml."
    )


def test_pickled_weights_are_not_read(copied):
    path = copied.folder / "text_encoder" / "model.safetensors"
    torch.save({name: torch.zeros(1) for name in load_file(path)}, path.with_name("pytorch_model.bin"))
    path.unlink()
    assert message(copied).startswith(f"{copied.folder / 'text_encoder'}: holds no ")


def test_all_tensors_that_do_not_fit_are_reported_at_once(copied):
    path = copied.folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    del tensors["layers.1.mlp.up_proj.weight"], tensors["layers.0.mlp.up_proj.weight"]
    tensors["layers.2.self_attn.q_proj.bias"] = np.zeros(63, np.float32)
    tensors["lm_head.weight"] = np.zeros((2, 2), np.float32)
    save_file(tensors, path, metadata={"format": "pt"})
    assert message(copied) == "\n  ".join(
        [
            f"{copied.folder / 'text_encoder'}: the weights do not fit its config.json:",
            "2 missing: layers.0.mlp.up_proj.weight, layers.1.mlp.up_proj.weight",
            "1 spare: lm_head.weight",
            "1 misshapen: layers.2.self_attn.q_proj.bias is [63], not [64]",
            COPY_AGAIN,
        ]
    )


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_2"])
def test_a_missing_tokenizer_is_an_error(copied, name):
    (copied.folder / name / "tokenizer_config.json").unlink()
    assert message(copied) == f"{copied.folder / name}: holds no tokenizer_config.json. {COPY_AGAIN}"


@pytest.mark.parametrize("name", ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"])
def test_a_component_that_is_not_there_is_an_error(copied, name):
    shutil.rmtree(copied.folder / name)
    assert message(copied) == (
        f"{copied.folder / name}: no such folder. The checkpoint is incomplete; download or copy it again."
    )
