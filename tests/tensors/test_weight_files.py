"""Weights of a component, single or in shards."""

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.tensors import weight_files
from stages.tensors.weight_files import WeightFiles
from tests.tensors.builders import write_raw

SINGLE = {"model.safetensors": None}
SHARDS = {"model-1.safetensors": {"a"}, "model-2.safetensors": {"b"}}  # by the index


def checkpoint_message(folder: Path, wanted: Mapping[str, Set[str] | None]) -> str:
    with pytest.raises(CheckpointError) as error:
        WeightFiles(folder, wanted)
    return str(error.value)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "model-1.safetensors")
    save_file({"b": np.zeros((3, 1), np.float16)}, tmp_path / "model-2.safetensors")
    return tmp_path


def test_tensors_of_all_files_are_found(sharded: Path):
    weights = WeightFiles(sharded, SHARDS)
    assert weights.shapes == {"a": (2,), "b": (3, 1)}
    assert weights.paths == {"a": sharded / "model-1.safetensors", "b": sharded / "model-2.safetensors"}
    assert weights.read("b").dtype == np.float16


def test_many_small_tensors_take_one_look_at_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    numbers = {str(number): np.full(2, number, np.float32) for number in range(6)}
    shards = {"model-1.safetensors": {"0", "2", "4"}, "model-2.safetensors": {"1", "3", "5"}}
    for file, names in shards.items():
        save_file({name: numbers[name] for name in names}, tmp_path / file)
    weights, opened = WeightFiles(tmp_path, shards), list[str]()
    safe_open = weight_files.safe_open

    def note(path: Path, **options: str) -> object:
        opened.append(path.name)
        return safe_open(path, **options)

    monkeypatch.setattr(weight_files, "safe_open", note)
    found = weights.read_all(numbers)
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in numbers.items()
    }
    assert sorted(opened) == sorted(shards)


def test_other_files_are_not_read(sharded: Path):
    (sharded / "model.safetensors").write_bytes(b"stale")
    save_file({"a": np.zeros(2, np.float32)}, sharded / "model-3.safetensors")
    assert np.array_equal(WeightFiles(sharded, SHARDS).read("a"), np.ones(2))


def test_a_file_that_git_lfs_has_not_brought_is_reported(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert checkpoint_message(tmp_path, SINGLE) == (
        f"{path}: only names the file, as Git LFS does. Run `git lfs pull` in its repository."
    )


def test_a_truncated_shard_is_reported(sharded: Path):
    path = sharded / "model-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    message = checkpoint_message(sharded, SHARDS)
    assert message.startswith(f"{path}: not a readable safetensors file (")
    assert message.endswith("). Download or copy it again.")


def test_a_shard_that_is_damaged_after_it_was_found_is_reported(sharded: Path):
    weights = WeightFiles(sharded, SHARDS)
    (sharded / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: not a readable safetensors file"):
        weights.read("a")


def test_a_tensor_in_two_shards_is_reported(sharded: Path):
    path = sharded / "model-2.safetensors"
    save_file({"a": np.zeros(2, np.float32), "b": np.zeros((3, 1), np.float16)}, path)
    assert checkpoint_message(sharded, SHARDS) == (
        f"{path}: not what the weight index says: a is spare. Download or copy it again."
    )


def test_a_shard_that_is_not_what_the_index_says_is_reported(sharded: Path):
    path = sharded / "model-1.safetensors"
    save_file({"c": np.zeros(2, np.float32)}, path)
    assert checkpoint_message(sharded, SHARDS) == (
        f"{path}: not what the weight index says: a is missing, c is spare. Download or copy it again."
    )


def test_every_tensor_of_another_dtype_is_reported(tmp_path: Path):
    entries = {
        "a": {"dtype": "I8", "shape": [4], "data_offsets": [0, 4]},
        "b": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [4, 8]},
        "c": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
    }
    write_raw(tmp_path / "model.safetensors", entries, 12)
    assert checkpoint_message(tmp_path, SINGLE) == (
        f"{tmp_path}: weights must be F32, F16 or BF16, but a is I8, b is F8_E4M3. "
        "Quantised weights are not supported; name another checkpoint in params/model.toml."
    )
