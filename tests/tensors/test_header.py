"""The header of a safetensors file."""

from pathlib import Path

import numpy as np
import pytest
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
