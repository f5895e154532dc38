"""Weights of a component, single or in shards."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.tensors.weight_files import WeightFiles
from tests.tensors.builders import write_raw


def checkpoint_message(folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        WeightFiles(folder)
    return str(error.value)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "model-1.safetensors")
    save_file({"b": np.zeros((3, 1), np.float16)}, tmp_path / "model-2.safetensors")
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return tmp_path


def test_shards_are_found_through_their_index(sharded: Path):
    weights = WeightFiles(sharded)
    assert weights.shapes == {"a": (2,), "b": (3, 1)}
    assert weights.read("b").dtype == np.float16


def test_a_single_file_needs_no_index(tmp_path: Path):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "diffusion_pytorch_model.safetensors")
    assert WeightFiles(tmp_path).shapes == {"a": (2,)}


def test_a_missing_shard_is_reported(sharded: Path):
    (sharded / "model-2.safetensors").unlink()
    assert checkpoint_message(sharded) == (
        f"{sharded}/model-2.safetensors: no such file, but the weight index names it. Download or copy it again."
    )


def test_a_truncated_shard_is_reported(sharded: Path):
    path = sharded / "model-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    message = checkpoint_message(sharded)
    assert message.startswith(f"{path}: not a readable safetensors file (")
    assert message.endswith("). Download or copy it again.")


def test_a_shard_that_is_damaged_after_it_was_found_is_reported(sharded: Path):
    weights = WeightFiles(sharded)
    (sharded / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: not a readable safetensors file"):
        weights.read("a")


def test_an_index_cannot_name_a_file_outside_its_folder(sharded: Path):
    index = {"weight_map": {"a": "../secret.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert checkpoint_message(sharded) == (
        f"{sharded}: its weight index names '../secret.safetensors', outside the folder. Download or copy it again."
    )


@pytest.mark.parametrize("text", ["{", "\xff", "[" * 100_000])
def test_an_index_that_is_no_json_is_reported(sharded: Path, text: str):
    path = sharded / "model.safetensors.index.json"
    path.write_bytes(text.encode("latin-1"))
    message = checkpoint_message(sharded)
    assert message.startswith(f"{path}: not a readable weight index (")
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
def test_an_index_without_a_map_of_names_is_reported(sharded: Path, text: str):
    path = sharded / "model.safetensors.index.json"
    path.write_text(text)
    assert checkpoint_message(sharded) == (
        f"{path}: its `weight_map` must name a file for each tensor. Download or copy it again."
    )


def test_a_tensor_in_two_shards_is_reported(sharded: Path):
    path = sharded / "model-2.safetensors"
    save_file({"a": np.zeros(2, np.float32), "b": np.zeros((3, 1), np.float16)}, path)
    assert checkpoint_message(sharded) == (
        f"{path}: not what the weight index says: a is spare. Download or copy it again."
    )


def test_a_shard_that_is_not_what_the_index_says_is_reported(sharded: Path):
    path = sharded / "model-1.safetensors"
    save_file({"c": np.zeros(2, np.float32)}, path)
    assert checkpoint_message(sharded) == (
        f"{path}: not what the weight index says: a is missing, c is spare. Download or copy it again."
    )


def test_every_tensor_of_another_dtype_is_reported(tmp_path: Path):
    entries = {
        "a": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]},
        "b": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [4, 8]},
        "c": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
    }
    write_raw(tmp_path / "model.safetensors", entries, 12)
    assert checkpoint_message(tmp_path) == (
        f"{tmp_path}: weights must be F32, F16 or BF16, but a is I8, b is F8_E4M3. "
        "Quantised weights are not supported; name another checkpoint in params/model.toml."
    )


def test_a_folder_without_weights_is_reported(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    assert checkpoint_message(tmp_path) == (
        f"{tmp_path}: holds no diffusion_pytorch_model.safetensors or model.safetensors. "
        "The checkpoint is incomplete; download or copy it again."
    )
