"""Which files are picked, from names alone; what is said where something is missing."""

import json
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import CheckpointError
from stages.models.component_files import Picked, parse_index, pick_files
from stages.pipeline.component import Component
from stages.pipeline.denoise import TRANSFORMER
from stages.pipeline.encode import TEXT_ENCODER, TOKENIZER, TOKENIZER_2

INDEX = "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SINGLE = ["config.json", "model.safetensors"]
# What other tools leave behind, beside a component.
STRAYS = [
    ".DS_Store", "._config.json", ".gitattributes", "README.md", "Thumbs.db", "config.json~", ".config.json.swp",
    "config.json.bak", "config (1).json", "generation_config.json", "model.fp16.safetensors", "pytorch_model.bin",
    "model.safetensors.incomplete", "model-00001-of-00009.safetensors", "optimizer.pt", "preprocessor_config.json",
    "spiece.model", "chat_template.json", "adapter_config.json",
]  # fmt: skip


def pick(
    component: Component, names: Collection[str], variant: str = "", shards: Mapping[str, list[str]] | None = None
) -> Picked:
    indexes = shards or {}
    return pick_files(
        component, names, variant=variant, read_shards=lambda index: indexes[index], where="here", fix="Fix it."
    )


def message(
    component: Component, names: Collection[str], variant: str = "", shards: Mapping[str, list[str]] | None = None
) -> str:
    with pytest.raises(CheckpointError) as error:
        pick(component, names, variant, shards)
    return str(error.value)


def test_a_model_is_its_settings_and_its_weights():
    assert pick(TEXT_ENCODER, SINGLE) == Picked(("config.json",), weights=("model.safetensors",))


@given(strays=st.sets(st.sampled_from(STRAYS)))
def test_no_stray_file_is_picked_or_changes_what_is(strays: set[str]):
    assert pick(TEXT_ENCODER, [*SINGLE, *strays]).names == ("config.json", "model.safetensors")


def test_an_index_and_its_shards_go_before_a_single_file():
    picked = pick(TEXT_ENCODER, [*SINGLE, INDEX, *SHARDS], shards={INDEX: SHARDS})
    assert picked == Picked(("config.json",), index=INDEX, weights=tuple(SHARDS))
    assert picked.names == tuple(sorted(["config.json", INDEX, *SHARDS]))


def test_shards_that_the_index_does_not_name_are_not_picked():
    names = ["config.json", INDEX, *SHARDS, "model-00003-of-00003.safetensors"]
    assert pick(TEXT_ENCODER, names, shards={INDEX: SHARDS}).weights == tuple(SHARDS)


def test_a_tokenizer_of_one_file_needs_no_other_vocabulary():
    names = ["tokenizer_config.json", "tokenizer.json", "vocab.json", "merges.txt", "chat_template.jinja"]
    assert pick(TOKENIZER, names).names == ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json")


def test_a_tokenizer_without_that_file_is_its_vocabulary_and_merges():
    names = ["tokenizer_config.json", "vocab.json", "merges.txt"]
    assert pick(TOKENIZER, names).names == ("merges.txt", "tokenizer_config.json", "vocab.json")


def test_a_tokenizer_of_bytes_reads_no_vocabulary():
    names = ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "spiece.model"]
    assert pick(TOKENIZER_2, names).names == ("special_tokens_map.json", "tokenizer_config.json")


@pytest.mark.parametrize(
    ("index", "shards"),
    [
        ("model.safetensors.index.fp16.json", ["model.fp16-00001-of-00001.safetensors"]),
        ("model.safetensors.fp16.index.json", ["model-00001-of-00001.fp16.safetensors"]),
        ("model.fp16.safetensors.index.json", ["model.fp16-00001-of-00001.safetensors"]),
    ],
)
def test_a_variants_index_is_found_by_each_of_its_spellings(index: str, shards: list[str]):
    names = [*SINGLE, "model.fp16.safetensors", index, *shards]
    assert pick(TEXT_ENCODER, names, "fp16", {index: shards}) == Picked(("config.json",), index, tuple(shards), "fp16")


def test_a_variant_of_one_file_goes_before_an_index_without_it():
    picked = pick(TEXT_ENCODER, [*SINGLE, INDEX, *SHARDS, "model.fp16.safetensors"], "fp16", {INDEX: SHARDS})
    assert picked == Picked(("config.json",), weights=("model.fp16.safetensors",), variant="fp16")


def test_a_component_that_lacks_the_variant_is_taken_without():
    assert pick(TEXT_ENCODER, SINGLE, "fp16") == pick(TEXT_ENCODER, SINGLE)


def test_a_variant_that_nobody_asked_for_is_named():
    assert message(TRANSFORMER, ["config.json", "diffusion_pytorch_model.fp16.safetensors"]) == (
        "here: would read diffusion_pytorch_model.safetensors, or an index of shards, and holds neither. There is "
        'diffusion_pytorch_model.fp16.safetensors, weights of the variant "fp16". Set model.variant = "fp16".'
    )


def test_shards_that_are_missing_are_named():
    assert message(TEXT_ENCODER, ["config.json", INDEX, SHARDS[0]], shards={INDEX: SHARDS}) == (
        f"here: {INDEX} names 2 files, of which 1 is not there: {SHARDS[1]}. Fix it."
    )
    assert message(TEXT_ENCODER, ["config.json", INDEX], shards={INDEX: SHARDS}) == (
        f"here: {INDEX} names 2 files, of which 2 are not there: {', '.join(SHARDS)}. Fix it."
    )


def test_missing_settings_are_reported_with_what_is_there():
    assert message(TEXT_ENCODER, ["config.json.txt", "model.safetensors"]) == (
        "here: holds no config.json. There is config.json.txt, model.safetensors. Fix it."
    )


def test_a_missing_vocabulary_is_reported_with_what_is_there():
    assert message(TOKENIZER, ["tokenizer_config.json", "vocab.json"]) == (
        "here: holds no tokenizer.json, nor vocab.json with merges.txt. There is tokenizer_config.json, vocab.json. "
        "Fix it."
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_index_says_which_file_holds_what(encoding: str):
    content = json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}})
    assert parse_index(content.encode(encoding), "here") == {"1.safetensors": {"a", "c"}, "2.safetensors": {"b"}}


@pytest.mark.parametrize("text", ["{", "\xff", "[" * 100_000])
def test_an_index_that_is_no_json_is_reported(text: str):
    with pytest.raises(CheckpointError) as error:
        parse_index(text.encode("latin-1"), "here")
    message = str(error.value)
    assert message.startswith("here: not a readable weight index (")
    assert message.endswith("). Download or copy it again.")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "1",
        "null",
        '{"weight_map": ["model-1.safetensors"]}',
        '{"weight_map": 1}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": ["model-1.safetensors"]}}',
        '{"weight_map": {"a": null}}',
    ],
)
def test_an_index_without_a_map_of_names_is_reported(text: str):
    with pytest.raises(CheckpointError) as error:
        parse_index(text.encode(), "here")
    assert str(error.value) == "here: its `weight_map` must name a file for each tensor. Download or copy it again."


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "sub/a.safetensors", "..", "a\\b", ""])
def test_an_index_cannot_name_a_file_outside_its_folder(name: str):
    with pytest.raises(CheckpointError) as error:
        parse_index(json.dumps({"weight_map": {"a": name}}).encode(), "here")
    assert str(error.value) == f"here: names {name!r}, outside its folder. Download or copy it again."
