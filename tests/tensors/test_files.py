"""Tensor files."""

import json
import os
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from stages.errors import CheckpointError, ContractError, StoreError
from stages.tensors.files import (
    DTYPES,
    TensorReader,
    TensorWriter,
    WeightFiles,
    name_dtypes,
    read_tensors,
    write_tensors,
)
from stages.tensors.header import read_header

FRAMES = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(1, 2, 3, 4, 3)
MAKE_AGAIN = "`doit forget` its stage, then `doit`, makes it again."


def write_raw(path: Path, entries: dict[str, object], num_bytes: int) -> None:
    """A safetensors file with a header of one's own and zeros behind it."""
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(num_bytes))


def entry(dtype: str, shape: list[int], num_bytes: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, num_bytes]}


def contract_message(action) -> str:
    with pytest.raises(ContractError) as error:
        action()
    return str(error.value)


def checkpoint_message(folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        WeightFiles(folder)
    return str(error.value)


@given(st.permutations(["b", "a", "B", "mask", "x"]))
def test_equal_tensors_give_equal_bytes_in_any_order(tmp_path_factory: pytest.TempPathFactory, names: list[str]):
    path = tmp_path_factory.getbasetemp() / "file"
    dtypes = {"b": np.float32, "a": ml_dtypes.bfloat16, "B": np.float16, "mask": np.int64}
    written = []
    for order in (sorted(names), names):
        write_tensors(path, {name: np.full((2, 2), ord(name[0]), dtypes.get(name, np.float32)) for name in order})
        written.append(path.read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_all_files_have_the_permissions_of_the_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        write_tensors(tmp_path / "whole", {"x": FRAMES})
        with TensorWriter(tmp_path / "rows", "x", shape=FRAMES.shape, dtype="float32") as writer:
            writer.append(FRAMES[0])
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o666 & ~umask] * 2


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(StoreError) as error:
        write_tensors(tmp_path / "no" / "file", {"x": FRAMES})
    assert str(error.value) == (
        f"{tmp_path}/no/file: cannot be written (No such file or directory). Check space and permissions."
    )


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_shapes_are_kept(tmp_path: Path, shape: tuple[int, ...]):
    write_tensors(tmp_path / "file", {"x": np.zeros(shape, np.float32)})
    assert read_tensors(tmp_path / "file")["x"].shape == shape


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_tensors_are_read_back_with_shape_and_dtype(tmp_path: Path, dtype: type):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    write_tensors(tmp_path / "file", {"x": array.T})
    (back,) = read_tensors(tmp_path / "file").values()
    assert back.dtype == dtype
    assert np.array_equal(back, array.T)


def test_dtypes_have_the_names_of_the_header_and_others_those_of_numpy(tmp_path: Path):
    tensors = {name: np.ones((1, 2), dtype) for name, dtype in DTYPES.items()}
    write_tensors(tmp_path / "file", tensors)
    header = {name: entry["dtype"] for name, entry in read_header(tmp_path / "file").items()}
    assert name_dtypes(tensors) == header
    assert name_dtypes({"double": np.ones(1)}) == {"double": "float64"}


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
    with TensorReader(tmp_path / "file", "frames") as reader:
        assert reader.shape == FRAMES.shape
        assert np.array_equal(np.stack(list(reader)), FRAMES[0])
        assert np.array_equal(np.stack(list(reader)), FRAMES[0])  # as often as one likes


NOT_THERE = "there is no such tensor, or the header is damaged"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 100, b"\xff" * 7 + b"\0", b"\x09" + b"[" * 99],
)
def test_a_file_that_is_no_tensor_file_is_told(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert contract_message(lambda: TensorReader(path, "x")) == (
        f"{path}: cannot read tensor `x` ({NOT_THERE}). {MAKE_AGAIN}"
    )


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"\xff" * 100])
def test_a_whole_file_that_is_no_tensor_file_is_told(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    message = contract_message(lambda: read_tensors(path))
    assert message.startswith(f"{path}: not a readable safetensors file (")
    assert message.endswith(f"). {MAKE_AGAIN}")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_a_dtype_that_numpy_lacks_is_told(tmp_path: Path, dtype: str):
    path = tmp_path / "file"
    write_raw(path, {"x": entry(dtype, [8], 8)}, 8)
    assert contract_message(lambda: read_tensors(path)) == f"{path}: numpy has no dtype for x ({dtype}). {MAKE_AGAIN}"


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (entry("F32", [4], 16), "its shape is [4], not [1, rows, ...]"),
        (entry("F32", [2, 2], 16), "its shape is [2, 2], not [1, rows, ...]"),
        (entry("F32", [], 16), "its shape is [], not [1, rows, ...]"),
        (entry("F8_E4M3", [1, 16], 16), "its dtype is F8_E4M3, not F32, F16 or BF16"),
        (entry("I32", [1, 4], 16), "its dtype is I32, not F32, F16 or BF16"),
        (entry("F32", [1, 5], 20), "the file is cut short"),
        (entry("F32", [1, -4], 16), NOT_THERE),
        ({"dtype": "F32", "shape": [1, 4]}, NOT_THERE),
        ({"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}, NOT_THERE),
        ({"dtype": "F32", "shape": ["1"], "data_offsets": [0, 16]}, NOT_THERE),
        ({"dtype": "F32", "shape": [1, 4], "data_offsets": [0]}, NOT_THERE),
        (None, NOT_THERE),
    ],
)
def test_a_tensor_that_cannot_be_read_by_rows_is_told(tmp_path: Path, found: object, fault: str):
    path = tmp_path / "file"
    write_raw(path, {"x": found}, 16)
    assert contract_message(lambda: TensorReader(path, "x")) == (
        f"{path}: cannot read tensor `x` ({fault}). {MAKE_AGAIN}"
    )


def test_a_tensor_that_is_not_there_is_told(tmp_path: Path):
    write_tensors(tmp_path / "file", {"latents": FRAMES})
    message = contract_message(lambda: TensorReader(tmp_path / "file", "frames"))
    assert message == f"{tmp_path}/file: cannot read tensor `frames` ({NOT_THERE}). {MAKE_AGAIN}"


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path: Path):
    path = tmp_path / "file"
    write_tensors(path, {"frames": np.zeros((1, 2, 64, 64, 3), np.float32)})  # more than is read ahead
    with TensorReader(path, "frames") as reader:
        os.truncate(path, path.stat().st_size - 1)
        assert contract_message(lambda: list(reader)) == (
            f"{path}: ends in row 1 of the 2 rows of tensor `frames`, [1, 2, 64, 64, 3] float32. {MAKE_AGAIN}"
        )


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


def test_a_missing_shard_is_told(sharded: Path):
    (sharded / "model-2.safetensors").unlink()
    assert checkpoint_message(sharded) == (
        f"{sharded}/model-2.safetensors: no such file, but the weight index names it. Download or copy it again."
    )


def test_a_truncated_shard_is_told(sharded: Path):
    path = sharded / "model-2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    message = checkpoint_message(sharded)
    assert message.startswith(f"{path}: not a readable safetensors file (")
    assert message.endswith("). Download or copy it again.")


def test_a_shard_that_is_damaged_after_it_was_found_is_told(sharded: Path):
    weights = WeightFiles(sharded)
    (sharded / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: not a readable safetensors file"):
        weights.read("a")


def test_an_index_cannot_lead_out_of_its_folder(sharded: Path):
    index = {"weight_map": {"a": "../secret.safetensors"}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert checkpoint_message(sharded) == (
        f"{sharded}: its weight index names '../secret.safetensors', outside the folder. Download or copy it again."
    )


@pytest.mark.parametrize("text", ["{", "\xff", "[" * 100_000])
def test_an_index_that_is_no_json_is_told(sharded: Path, text: str):
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
def test_an_index_without_a_map_of_names_is_told(sharded: Path, text: str):
    path = sharded / "model.safetensors.index.json"
    path.write_text(text)
    assert checkpoint_message(sharded) == (
        f"{path}: its `weight_map` must name a file for each tensor. Download or copy it again."
    )


def test_a_tensor_in_two_shards_is_told(sharded: Path):
    path = sharded / "model-2.safetensors"
    save_file({"a": np.zeros(2, np.float32), "b": np.zeros((3, 1), np.float16)}, path)
    assert checkpoint_message(sharded) == (
        f"{path}: not what the weight index says: a is spare. Download or copy it again."
    )


def test_a_shard_that_is_not_what_the_index_says_is_told(sharded: Path):
    path = sharded / "model-1.safetensors"
    save_file({"c": np.zeros(2, np.float32)}, path)
    assert checkpoint_message(sharded) == (
        f"{path}: not what the weight index says: a is missing, c is spare. Download or copy it again."
    )


def test_every_tensor_of_another_dtype_is_told(tmp_path: Path):
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


def test_a_folder_without_weights_is_told(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    assert checkpoint_message(tmp_path) == (
        f"{tmp_path}: holds no diffusion_pytorch_model.safetensors or model.safetensors. "
        "The checkpoint is incomplete; download or copy it again."
    )
