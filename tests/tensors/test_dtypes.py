"""Names of dtypes."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.tensors.dtypes import DTYPES, FLOATS, SAFETENSORS_NAMES
from stages.tensors.header import read_header


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_dtype_has_the_name_that_the_library_writes(tmp_path: Path, dtype: str):
    save_file({"x": np.zeros(2, DTYPES[dtype])}, tmp_path / "file")
    assert read_header(tmp_path / "file")["x"]["dtype"] == SAFETENSORS_NAMES[dtype]


def test_messages_name_every_dtype():
    assert set(FLOATS.replace(" or ", ", ").split(", ")) == set(SAFETENSORS_NAMES.values())
