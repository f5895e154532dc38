"""Files of tensors: equal bytes for equal tensors, written and read in pieces, and no damage goes unnoticed."""

import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from stages.errors import ContractError, StoreError
from stages.tensors.dtypes import DTYPES
from stages.tensors.files import TensorReader, TensorWriter, read_tensors, write_tensors
from tests.tensors.builders import write_raw

FRAMES = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(1, 2, 3, 4, 3)
MAKE_AGAIN = "`doit forget` its stage, then `doit`, makes it again."


def entry(dtype: str, shape: list[int], num_bytes: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, num_bytes]}


def contract_message(action) -> str:
    with pytest.raises(ContractError) as error:
        action()
    return str(error.value)


@settings(deadline=None)  # the machine may be busy
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


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path):
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


NOT_WHOLE = "it is not a whole safetensors file: "
NO_ENTRY = f"{NOT_WHOLE}the entry of 'x' is not dtype, shape and two offsets"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", f"{NOT_WHOLE}it has 0 bytes, which is no header"),
        (b"\x02\0\0\0\0\0\0\0{}", "there is no such tensor"),
        (b"\x02\0\0\0\0\0\0\0[]", f"{NOT_WHOLE}its header is no JSON object"),
        (b"\xff" * 100, f"{NOT_WHOLE}it has 100 bytes, and its header would have {2**64 - 1}"),
        (b"\xff" * 7 + b"\0", f"{NOT_WHOLE}it has 8 bytes, and its header would have {2**56 - 1}"),
        ((5000).to_bytes(8, "little") + b"[" * 5000, f"{NOT_WHOLE}it is nested too deeply"),
        (
            (5006).to_bytes(8, "little") + b'{"x":%s}' % (b"9" * 5000),
            f"{NOT_WHOLE}it has a number of thousands of digits",
        ),
    ],
)
def test_a_file_that_is_no_tensor_file_is_reported(tmp_path: Path, content: bytes, fault: str):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert contract_message(lambda: TensorReader(path, "x")) == (
        f"{path}: cannot read tensor `x` ({fault}). {MAKE_AGAIN}"
    )


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"\xff" * 100])
def test_a_whole_file_that_is_no_tensor_file_is_reported(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    message = contract_message(lambda: read_tensors(path))
    assert message.startswith(f"{path}: not a readable safetensors file (")
    assert message.endswith(f"). {MAKE_AGAIN}")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0"])
def test_a_dtype_that_numpy_lacks_is_reported(tmp_path: Path, dtype: str):
    path = tmp_path / "file"
    write_raw(path, {"x": entry(dtype, [8], 8)}, 8)
    assert contract_message(lambda: read_tensors(path)) == f"{path}: numpy has no dtype for x ({dtype}). {MAKE_AGAIN}"


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (entry("F32", [4], 16), "its shape is [4], not [1, rows, ...]"),
        (entry("F32", [2, 2], 16), "its shape is [2, 2], not [1, rows, ...]"),
        (entry("F32", [], 4), "its shape is [], not [1, rows, ...]"),
        (entry("F8_E4M3", [1, 16], 16), "its dtype is F8_E4M3, not F32, F16 or BF16"),
        (entry("I32", [1, 4], 16), "its dtype is I32, not F32, F16 or BF16"),
        (entry("F32", [1, 5], 20), f"{NOT_WHOLE}it has 89 bytes, its header says 93"),
        (entry("F32", [1, -4], 16), NO_ENTRY),
        ({"dtype": "F32", "shape": [1, 4]}, NO_ENTRY),
        ({"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}, NO_ENTRY),
        ({"dtype": "F32", "shape": ["1"], "data_offsets": [0, 16]}, NO_ENTRY),
        ({"dtype": "F32", "shape": [1, 4], "data_offsets": [0]}, NO_ENTRY),
        (None, NO_ENTRY),
    ],
)
def test_a_tensor_that_cannot_be_read_by_rows_is_reported(tmp_path: Path, found: object, fault: str):
    path = tmp_path / "file"
    write_raw(path, {"x": found}, 4 if found == entry("F32", [], 4) else 16)
    assert contract_message(lambda: TensorReader(path, "x")) == (
        f"{path}: cannot read tensor `x` ({fault}). {MAKE_AGAIN}"
    )


def test_a_tensor_that_is_not_there_is_reported(tmp_path: Path):
    write_tensors(tmp_path / "file", {"latents": FRAMES})
    message = contract_message(lambda: TensorReader(tmp_path / "file", "frames"))
    assert message == f"{tmp_path}/file: cannot read tensor `frames` (there is no such tensor). {MAKE_AGAIN}"


def test_a_file_that_is_truncated_while_it_is_read_is_reported(tmp_path: Path):
    path = tmp_path / "file"
    write_tensors(path, {"frames": np.zeros((1, 2, 64, 64, 3), np.float32)})  # more than is read ahead
    with TensorReader(path, "frames") as reader:
        os.truncate(path, path.stat().st_size - 1)
        assert contract_message(lambda: list(reader)) == (
            f"{path}: ends in row 1 of the 2 rows of tensor `frames`, [1, 2, 64, 64, 3] float32. {MAKE_AGAIN}"
        )
