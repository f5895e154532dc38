"""Weights from the picked files, and their names and shapes against those that are expected."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.errors import CheckpointError
from stages.models.component_files import ComponentFiles, Picked
from stages.models.weights import check_weights, open_weights
from stages.pipeline.decode import VAE
from stages.tensors.weight_files import WeightFiles


@pytest.fixture
def files(tmp_path: Path) -> WeightFiles:
    shapes = {"decoder.a": (2,), "decoder.b": (2, 3), "encoder.a": (1,)}
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    return WeightFiles(tmp_path, {"model.safetensors": None})


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


@pytest.mark.parametrize("prefix", ["vae.", "first_stage_model.", "module._orig_mod."])
def test_a_prefix_of_another_tool_is_named(tmp_path: Path, prefix: str):
    tensors = {f"{prefix}decoder.{name}": np.zeros(1, np.float32) for name in "abc"}
    save_file(tensors, tmp_path / "model.safetensors")
    files = WeightFiles(tmp_path, {"model.safetensors": None})
    with pytest.raises(CheckpointError) as error:
        check_weights(files, {f"decoder.{name}": (1,) for name in "abcd"}, prefix="decoder.")
    assert str(error.value) == (
        f"{tmp_path}: the names of its tensors begin with `{prefix}`, as another tool writes them: "
        f"`{prefix}decoder.a` in place of `decoder.a`. Use a checkpoint that diffusers has written, or take the prefix "
        "from the names."
    )


def test_weights_in_shards_are_those_that_the_index_names(tmp_path: Path):
    save_file({"a": np.ones(1, np.float32)}, tmp_path / "1.safetensors")
    (tmp_path / "index.json").write_text(json.dumps({"weight_map": {"a": "1.safetensors"}}), encoding="utf-8-sig")
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "diffusion_pytorch_model.safetensors")
    picked = Picked(("config.json",), index="index.json", weights=("1.safetensors",))
    assert open_weights(ComponentFiles(VAE, tmp_path, picked)).read("a") == 1


def test_an_index_that_has_gone_meanwhile_is_reported(tmp_path: Path):
    picked = Picked(("config.json",), index="index.json", weights=("1.safetensors",))
    with pytest.raises(CheckpointError) as error:
        open_weights(ComponentFiles(VAE, tmp_path, picked))
    assert str(error.value) == (
        f"{tmp_path}/index.json: cannot be read (No such file or directory). Download or copy it again."
    )
