"""Names of dtypes."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.tensors.dtypes import DTYPES, FLOATS, SAFETENSORS_NAMES, name_dtypes
from stages.tensors.header import read_header


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_dtype_has_the_name_that_the_library_writes(tmp_path: Path, dtype: str):
    save_file({"x": np.zeros(2, DTYPES[dtype])}, tmp_path / "file")
    assert read_header(tmp_path / "file")["x"]["dtype"] == SAFETENSORS_NAMES[dtype]


def test_messages_name_every_dtype():
    assert set(FLOATS.replace(" or ", ", ").split(", ")) == set(SAFETENSORS_NAMES.values())


def test_dtypes_have_the_names_of_the_header_and_others_those_of_numpy(tmp_path: Path):
    tensors = {name: np.ones((1, 2), dtype) for name, dtype in DTYPES.items()}
    save_file(tensors, tmp_path / "file")
    header = {name: entry["dtype"] for name, entry in read_header(tmp_path / "file").items()}
    assert name_dtypes(tensors) == header
    assert name_dtypes({"double": np.ones(1)}) == {"double": "float64"}
