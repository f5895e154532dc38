"""Tensor files."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.errors import CheckpointError, ContractError
from stages.tensors import DTYPES, TensorReader, TensorWriter, WeightFiles, read_tensors, write_tensors

FRAMES = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(1, 2, 3, 4, 3)


def test_equal_tensors_give_equal_bytes_in_any_order(tmp_path: Path):
    one, other = np.ones(3, np.float32), np.zeros((2, 2), ml_dtypes.bfloat16)
    write_tensors(tmp_path / "a", {"x": one, "y": other})
    write_tensors(tmp_path / "b", {"y": other, "x": one})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_tensors_are_read_back_with_shape_and_dtype(tmp_path: Path, dtype: type):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    write_tensors(tmp_path / "file", {"x": array.T})
    (back,) = read_tensors(tmp_path / "file").values()
    assert back.dtype == dtype
    assert np.array_equal(back, array.T)


@pytest.mark.parametrize("pieces", [[2], [1, 1], [0, 2]])
def test_a_tensor_written_in_pieces_is_a_plain_safetensors_file(tmp_path: Path, pieces: list[int]):
    with TensorWriter(tmp_path / "file", "frames", shape=FRAMES.shape, dtype="bfloat16") as writer:
        start = 0
        for piece in pieces:
            writer.append(FRAMES[0, start : start + piece])
            start += piece
    assert np.array_equal(load_file(tmp_path / "file")["frames"], FRAMES.astype(ml_dtypes.bfloat16))


def test_rows_that_do_not_fit_are_refused(tmp_path: Path):
    with TensorWriter(tmp_path / "file", "frames", shape=FRAMES.shape, dtype="float32") as writer:
        with pytest.raises(ValueError, match="do not fit"):
            writer.append(np.zeros((1, 3, 4, 4)))
        with pytest.raises(ValueError, match="do not fit"):
            writer.append(np.zeros((3, 3, 4, 3)))
        writer.append(FRAMES[0])


def test_a_tensor_that_was_not_finished_is_refused(tmp_path: Path):
    writer = TensorWriter(tmp_path / "file", "frames", shape=FRAMES.shape, dtype="float32")
    with pytest.raises(ValueError, match="1 rows were never written"), writer:
        writer.append(FRAMES[0, :1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_tensor_is_read_row_by_row(tmp_path: Path, dtype: str):
    write_tensors(tmp_path / "file", {"a": np.zeros(5, np.float32), "frames": FRAMES.astype(DTYPES[dtype])})
    reader = TensorReader(tmp_path / "file", "frames")
    assert reader.shape == FRAMES.shape
    assert np.array_equal(np.stack(list(reader)), FRAMES[0])
    assert np.array_equal(np.stack(list(reader)), FRAMES[0])  # as often as one likes


@pytest.mark.parametrize("content", [b"", b"\x10\x00\x00\x00\x00\x00\x00\x00{}", b"\xff" * 100])
def test_a_file_that_is_no_tensor_file_is_told(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="not a readable safetensors file"):
        read_tensors(path)
    with pytest.raises(ContractError, match="cannot read tensor `x`"):
        TensorReader(path, "x")


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
    assert {name: array.shape for name, array in weights.read_all()} == {"a": (2,), "b": (3, 1)}
    assert weights.read("b").dtype == np.float16


def test_a_single_file_needs_no_index(tmp_path: Path):
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "diffusion_pytorch_model.safetensors")
    assert WeightFiles(tmp_path).shapes == {"a": (2,)}


def test_a_missing_shard_is_told(sharded: Path):
    (sharded / "model-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-2.safetensors: no such file, but the weight index names it"):
        WeightFiles(sharded)


def test_a_truncated_shard_is_told(sharded: Path):
    path = sharded / "model-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model-2.safetensors: not a readable safetensors file .*again"):
        WeightFiles(sharded)


def test_an_index_cannot_lead_out_of_its_folder(sharded: Path):
    index = {"weight_map": {"a": "../secret.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside the folder"):
        WeightFiles(sharded)


def test_a_folder_without_weights_is_told(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(CheckpointError, match=r"holds no diffusion_pytorch_model.safetensors or model.safetensors"):
        WeightFiles(tmp_path)
