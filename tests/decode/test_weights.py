"""The decoder's weights: names, shapes, axes."""

from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.decode.convolution import PairKernel
from stages.decode.layers import ConvWeights
from stages.decode.weights import describe_arrays, describe_weights, load_weights
from stages.errors import CheckpointError
from tests.decode.builders import DEVICE, build_vae, edit_config, load_config, vae_weights, write_vae

FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_vae(tmp_path / "vae")


@pytest.mark.parametrize("changes", [{}, {"upsample_match_channel": False}, {"layers_per_block": 2}])
def test_names_and_shapes_are_those_of_diffusers(tmp_path: Path, changes: dict[str, object]):
    vae = build_vae(**changes)
    config = load_config(write_vae(tmp_path / "vae", **changes))
    specs = jax.tree.leaves(describe_weights(config))
    expected = {f"decoder.{name}": tuple(weight.shape) for name, weight in vae.decoder.state_dict().items()}
    assert {spec.name: spec.file_shape for spec in specs} == expected


def test_kernels_are_channels_last_and_on_a_cpu_in_taps(folder: Path):
    weights = load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])
    stored = load_file(folder / FILE)["decoder.conv_in.conv.weight"]
    assert [tap.shape for tap in weights.conv_in.kernel] == [(3, 3, 32, 64)] * 3
    np.testing.assert_array_equal(weights.conv_in.kernel[2][1, 0, 5, 7], stored[7, 5, 2, 1, 0])


def test_the_described_arrays_are_the_loaded_ones(folder: Path):
    config = load_config(folder)
    weights = load_weights(vae_weights(folder), config, dtype="bfloat16", devices=[DEVICE])
    described = describe_arrays(config, dtype="bfloat16", devices=[DEVICE])
    assert jax.tree.map(lambda array: (array.shape, array.dtype, array.sharding), weights) == jax.tree.map(
        lambda array: (array.shape, array.dtype, array.sharding), described
    )


def test_every_weight_but_kernels_for_pairs_has_the_dtype_that_was_asked_for(folder: Path):
    weights = load_weights(vae_weights(folder), load_config(folder), dtype="bfloat16", devices=[DEVICE])
    leaves = jax.tree.leaves(weights, is_leaf=lambda node: isinstance(node, PairKernel))
    assert {str(leaf.dtype) for leaf in leaves if not isinstance(leaf, PairKernel)} == {"bfloat16"}
    kernels = [leaf for leaf in leaves if isinstance(leaf, PairKernel)]
    assert {str(part.dtype) for part in jax.tree.leaves(kernels)} == {"float32"}


def test_all_kernels_after_the_first_upsampler_that_doubles_time_are_for_pairs(folder: Path):
    weights = load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])
    first, *others = weights.up_blocks
    for tree, are_pairs in [(weights.conv_in, False), (first, False), (others, True), (weights.conv_out, True)]:
        convolutions = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, ConvWeights))
        kernels = [each.kernel for each in convolutions if isinstance(each, ConvWeights)]
        assert {isinstance(kernel, PairKernel) for kernel in kernels} == {are_pairs}


def test_all_faults_of_a_file_are_reported_at_once(folder: Path):
    tensors = load_file(folder / FILE)
    del tensors["decoder.norm_out.gamma"]
    tensors["decoder.extra"] = np.zeros(2, np.float32)
    tensors["decoder.conv_in.conv.bias"] = np.zeros(3, np.float32)
    save_file(tensors, folder / FILE)
    with pytest.raises(CheckpointError) as error:
        load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])
    assert str(error.value) == (
        f"{folder}: the weights do not fit its config.json:\n"
        "  1 missing: decoder.norm_out.gamma\n"
        "  1 spare: decoder.extra\n"
        "  1 misshapen: decoder.conv_in.conv.bias is [3], not [64]\n"
        "  Download or copy the checkpoint again."
    )


def test_the_encoder_is_neither_needed_nor_read(folder: Path):
    tensors = load_file(folder / FILE)
    save_file({name: value for name, value in tensors.items() if name.startswith("decoder.")}, folder / FILE)
    load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])


@pytest.mark.parametrize("dtype", ["int8", "bool", "float64"])
def test_weights_that_are_no_floats_of_the_model_are_refused(folder: Path, dtype: str):
    tensors = load_file(folder / FILE)
    tensors["decoder.conv_in.conv.bias"] = tensors["decoder.conv_in.conv.bias"].astype(dtype)
    save_file(tensors, folder / FILE)
    with pytest.raises(CheckpointError, match=rf"{folder}: weights must be .*, but decoder.conv_in.conv.bias is "):
        load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])


def test_a_config_of_another_decoder_is_reported(folder: Path):
    edit_config(folder, layers_per_block=2)
    with pytest.raises(CheckpointError, match=r"missing: decoder\.up_blocks\.0\.resnets\.2\.conv1\.conv\.bias"):
        load_weights(vae_weights(folder), load_config(folder), dtype="float32", devices=[DEVICE])
