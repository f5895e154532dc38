"""The header of a safetensors file."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stages.tensors.header import count_nonzero, read_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file({"latents": np.zeros((1, 32, 2), np.float32)}, tmp_path / "file", metadata={"by": "another tool"})
    return tmp_path / "file"


def test_each_tensor_has_an_entry_and_metadata_is_none(file: Path):
    assert read_header(file) == {"latents": {"dtype": "F32", "shape": [1, 32, 2], "data_offsets": [0, 256]}}


def test_a_truncated_file_is_refused(file: Path):
    whole = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(whole - 1)
    with pytest.raises(ValueError, match=f"it has {whole - 1} bytes, its header says {whole}"):
        read_header(file)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_entries_that_are_not_zero_are_counted(tmp_path: Path, dtype: type):
    mask = np.array([[1, 1, 0, 1, 0]], dtype)
    save_file({"before": np.ones(3, dtype), "mask": mask, "none": np.zeros((2, 2), dtype)}, tmp_path / "file")
    assert [count_nonzero(tmp_path / "file", name) for name in ("mask", "none", "before")] == [3, 0, 3]


def write_header(path: Path, header: bytes, num_bytes: int = 0) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(num_bytes))
    return path


ENTRY = "the entry of 'x' is not dtype, shape and two offsets"
HUGE = 10**30


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": []}}, ENTRY),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, "4"]}}, ENTRY),
        ({"x": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, ENTRY),
        ({"x": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, ENTRY),
        ({"x": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4]}}, ENTRY),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, ENTRY),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": 1}}, ENTRY),
        ({"x": 5}, ENTRY),
        (
            {"x": {"dtype": "F32", "shape": [2**63] * 10_000, "data_offsets": [0, 4]}},
            "the tensor 'x' of F32 does not have 4 bytes",
        ),
        (
            {"x": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}},
            "the tensor 'x' begins at 2, and the one before it ends at 0",
        ),
        (
            {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in ("x", "y")},
            "the tensor 'y' begins at 0, and the one before it ends at 4",
        ),
        ([], "its header is no JSON object"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, header: object, fault: str):
    with pytest.raises(ValueError, match=r"^") as caught:
        read_header(write_header(tmp_path / "file", json.dumps(header).encode(), 4))
    assert str(caught.value) == fault


def test_a_header_larger_than_its_file_is_not_read(tmp_path: Path):
    with (tmp_path / "file").open("wb") as file:
        file.write((2**40).to_bytes(8, "little"))
        file.truncate(2**42)  # without a block on disk
    with pytest.raises(ValueError, match=f"it has {2**42} bytes, and its header would have {2**40}"):
        read_header(tmp_path / "file")


def test_a_fifo_is_refused_without_waiting(tmp_path: Path):
    os.mkfifo(tmp_path / "file")
    with pytest.raises(OSError, match="is a FIFO, not a file"):
        read_header(tmp_path / "file")


SIZES = st.integers(0, 3) | st.sampled_from([2**31, 2**63, 2**64, -1, 1.5, "1", None])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "BOOL", "F8_E4M3", "x", ""]) | st.integers(),
        "shape": st.lists(SIZES, max_size=4) | st.none(),
        "data_offsets": st.lists(SIZES | st.integers(0, 32), min_size=1, max_size=3),
        "more": st.none(),
    },
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(
    st.dictionaries(st.text(max_size=3), ENTRIES | JSON, max_size=3).map(lambda header: json.dumps(header).encode())
    | st.binary(max_size=64),
    st.integers(0, 24),
)
def test_whatever_the_header_says_the_library_refuses_what_is_refused_and_reads_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, num_bytes: int
):
    file = write_header(tmp_path_factory.mktemp("header") / "file", header, num_bytes)
    try:
        entries = read_header(file)
    except ValueError:
        return
    try:
        with safe_open(file, framework="numpy") as opened:
            assert sorted(opened.keys()) == sorted(entries)
    except SafetensorError:
        # what only the library checks: names of dtypes, texts as metadata, how a header begins
        known = all(entry["dtype"] in ("F32", "F16", "BF16", "U8", "BOOL") for entry in entries.values())
        assert not known or b"__metadata__" in header or not header.startswith(b"{")
