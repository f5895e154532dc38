"""Names and shapes of weights against those that are expected."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.models.weights import check_weights
from stages.tensors.weight_files import WeightFiles


@pytest.fixture
def files(tmp_path: Path) -> WeightFiles:
    shapes = {"decoder.a": (2,), "decoder.b": (2, 3), "encoder.a": (1,)}
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    return WeightFiles(tmp_path)


def test_weights_that_fit_pass(files: WeightFiles):
    check_weights(files, {"decoder.a": (2,), "decoder.b": (2, 3)}, prefix="decoder.")
    check_weights(files, files.shapes)


def test_all_weights_that_do_not_fit_are_listed(files: WeightFiles):
    with pytest.raises(CheckpointError) as error:
        check_weights(files, {"decoder.b": (3, 2), "decoder.c": (1,), "decoder.d": (1,)}, prefix="decoder.")
    assert str(error.value) == (
        f"{files.folder}: the weights do not fit its config.json:\n"
        "  2 missing: decoder.c, decoder.d\n"
        "  1 spare: decoder.a\n"
        "  1 misshapen: decoder.b is [2, 3], not [3, 2]\n"
        "  Download or copy the checkpoint again."
    )
