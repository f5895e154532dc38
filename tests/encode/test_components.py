"""What is said of a tokenizer or model that does not fit. That they are what diffusers loads is tested in parity/."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch

from stages.encode.text_encoders import TextEncoders
from stages.errors import CheckpointError
from tests.checkpoints import edit_json, rename_tensors, split, zero

COPY_AGAIN = "Download or copy the checkpoint again, or name another one in params/model.toml."
INCOMPLETE = "The component is incomplete: download or copy it again."
OTHER = "Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."


def message(checkpoint) -> str:
    with pytest.raises(CheckpointError) as caught:
        TextEncoders.load(checkpoint, dtype="bfloat16")
    return str(caught.value)


def test_another_architecture_is_an_error(copied):
    path = copied.folder / "text_encoder" / "config.json"
    path.write_text(json.dumps({"architectures": ["LlamaModel"]}))
    assert message(copied) == "\n  ".join(
        [
            f"{path}: this checkpoint cannot be run:",
            "`vocab_size` is missing",
            "`num_hidden_layers` is missing",
            "`architectures` is ['LlamaModel'], not ['Qwen2_5_VLTextModel'] or ['Qwen2_5_VLForConditionalGeneration']",
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
    assert message(copied) == f"{path.parent}: holds no config.json. There is model.safetensors. {INCOMPLETE}"


def test_weights_that_are_not_there_are_an_error(copied):
    (copied.folder / "text_encoder" / "model.safetensors").unlink()
    assert message(copied) == (
        f"{copied.folder / 'text_encoder'}: would read model.safetensors, or an index of shards, and holds neither. "
        f"There is config.json. {INCOMPLETE}"
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
    assert "There is pytorch_model.bin, but weights are read from safetensors files only." in message(copied)


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


def test_a_tokenizer_without_its_settings_is_an_error(copied):
    (copied.folder / "tokenizer" / "tokenizer_config.json").unlink()
    assert message(copied) == (
        f"{copied.folder / 'tokenizer'}: holds no tokenizer_config.json. There is chat_template.jinja, tokenizer.json. "
        f"{INCOMPLETE}"
    )


@pytest.mark.parametrize("name", ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"])
def test_a_component_that_is_not_there_is_an_error(copied, name):
    shutil.rmtree(copied.folder / name)
    assert message(copied) == (
        f"{copied.folder}: has no component `{name}`. A HunyuanVideo-1.5 checkpoint has one folder per component, as "
        "diffusers' save_pretrained writes them."
    )


def embeddings(checkpoint) -> dict[str, bytes]:
    """Bytes of all that is made of a prompt."""
    encoded = TextEncoders.load(checkpoint, dtype="float32").encode('A "red" circle.', "blue")
    return {name: array.tobytes() for name, array in encoded.items()}


def publish_qwen(folder, *, form: str) -> None:
    """The language model as Qwen2.5-VL-7B-Instruct was published, or as transformers writes that now."""
    prefix, vision = {"old": ("model.", "visual."), "new": ("model.language_model.", "model.visual.")}[form]
    file = folder / "text_encoder" / "model.safetensors"
    tensors = {f"{prefix}{name}": array for name, array in load_torch(file).items()}
    tensors[f"{vision}patch_embed.proj.weight"] = torch.full((4, 4), torch.nan)
    tensors["lm_head.weight"] = torch.full((2, 2), torch.nan)
    save_torch(tensors, file, metadata={"format": "pt"})
    path = folder / "text_encoder" / "config.json"
    own = json.loads(path.read_text())
    parts = {"old": own | {"vision_config": {"depth": 2}}, "new": {"text_config": own, "vision_config": {"depth": 2}}}
    whole = {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl"}
    path.write_text(json.dumps(parts[form] | whole))


@pytest.fixture(scope="session")
def expected(shapes) -> dict[str, bytes]:
    return embeddings(shapes)


@pytest.mark.parametrize("form", ["old", "new"])
def test_the_language_model_as_it_was_published_gives_equal_embeddings(copied, expected, form):
    publish_qwen(copied.folder, form=form)
    assert embeddings(copied) == expected


def test_a_prefix_that_transformers_knows_changes_nothing(copied, expected):
    rename_tensors(copied.folder / "text_encoder/model.safetensors", "language_model.{}".format)
    assert embeddings(copied) == expected


def test_the_glyph_encoder_as_a_part_of_its_whole_model_gives_equal_embeddings(copied, expected):
    file = copied.folder / "text_encoder_2" / "model.safetensors"
    others = {"decoder.block.0.layer.0.q.weight": torch.full((2, 2), torch.nan), "lm_head.weight": torch.zeros(2, 2)}
    save_torch(load_torch(file) | others, file, metadata={"format": "pt"})
    edit_json(copied.folder / "text_encoder_2/config.json", architectures=["T5ForConditionalGeneration"])
    assert embeddings(copied) == expected


@pytest.mark.parametrize(
    ("name", "part"), [("text_encoder", "embed_tokens.weight"), ("text_encoder_2", "encoder.final_layer_norm.weight")]
)
@pytest.mark.parametrize("prefix", ["module.", "text_model.transformer."])
def test_a_prefix_of_another_tool_is_named(copied, name, part, prefix):
    rename_tensors(copied.folder / name / "model.safetensors", f"{prefix}{{}}".format)
    assert message(copied) == (
        f"{copied.folder / name}: the names of its tensors begin with `{prefix}`, as another tool writes them: "
        f"`{prefix}{part}` in place of `{part}`. Use a checkpoint that diffusers has written, or take the prefix from "
        "the names."
    )


def test_shards_are_read_and_not_the_stale_file_beside_them(copied, expected):
    for name in ("text_encoder", "text_encoder_2"):
        file = copied.folder / name / "model.safetensors"
        split(file)
        zero(file)
    assert embeddings(copied) == expected


def test_a_variant_of_one_file_is_read(copied, expected):
    for name in ("text_encoder", "text_encoder_2"):
        file = copied.folder / name / "model.safetensors"
        shutil.copy(file, file.with_name("model.fp16.safetensors"))
        zero(file)
    assert embeddings(replace(copied, variant="fp16")) == expected
    assert embeddings(copied) != expected


def test_a_variant_in_shards_is_read(copied, expected):
    for name in ("text_encoder", "text_encoder_2"):
        file = copied.folder / name / "model.safetensors"
        split(file, variant="fp16")
        file.unlink()
    assert embeddings(replace(copied, variant="fp16")) == expected


STRAYS = {
    "tokenizer": {
        "tekken.json": b"{}",
        "tokenizer.model.v3": b"",
        "vocab.json": b'{"red": 0}',
        "merges.txt": b"#version: 0.2\n",
        "chat_template.json": b'{"chat_template": "none"}',
        "additional_chat_templates/tools.jinja": b"tools",
        "config.json": b'{"model_type": "llama"}',
        "generation_config.json": b"{}",
    },
    "tokenizer_2": {
        "tokenizer.json": b'{"added_tokens": [{"id": 400, "content": "red"}]}',
        "chat_template.jinja": b"none",
        "spiece.model": b"",
        "vocab.json": b"{}",
    },
    "text_encoder": {
        "adapter_config.json": b'{"base_model_name_or_path": "nowhere"}',
        "generation_config.json": b"[",
        "pytorch_model.bin": b"pickle",
        "config.4.0.0.json": b"{}",
        "model.safetensors.index.json.bak": b"{}",
    },
    "text_encoder_2": {"model-00001-of-00002.safetensors": b"half", ".DS_Store": b"x"},
}


def test_no_stray_file_changes_what_is_loaded(copied, expected):
    for component, files in STRAYS.items():
        for name, content in files.items():
            path = copied.folder / component / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    assert embeddings(copied) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_change_nothing(copied, expected, encoding):
    for path in copied.folder.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    template = copied.folder / "tokenizer/chat_template.jinja"
    template.write_text(template.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert embeddings(copied) == expected


def test_a_tokenizer_is_made_of_vocabulary_and_merges_where_there_is_nothing_else(copied, expected):
    folder = copied.folder / "tokenizer"
    whole = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in whole["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    added = {token["content"]: token["id"] for token in whole["added_tokens"]}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    (folder / "tokenizer.json").unlink()
    assert embeddings(copied) == expected


def test_the_tokenizer_is_named_by_its_folder(copied):
    encoders = TextEncoders.load(copied, dtype="float32")
    assert encoders.tokenizer.name_or_path == str(copied.folder / "tokenizer")
