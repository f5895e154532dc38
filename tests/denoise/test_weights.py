"""Weights arrive where they belong, or every name that does not fit is listed; no second copy is made."""

import math
import tracemalloc
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from stages.denoise.weights import load_weights, part
from stages.errors import CheckpointError
from stages.tensors.weight_files import WeightFiles
from tests.denoise.builders import MESH, TOY, build_torch_module, dit_weights, load, write_checkpoint

FILE = "diffusion_pytorch_model.safetensors"


def test_each_weight_is_in_its_place(tmp_path):
    weights = load(write_checkpoint(tmp_path))
    for name, expected in build_torch_module().state_dict().items():
        if name.startswith("image_embedder."):
            assert name not in weights.rest
        elif name.startswith("transformer_blocks."):
            _, layer, inner = name.split(".", 2)
            assert np.array_equal(weights.blocks[inner][int(layer)], expected)
        else:
            assert np.array_equal(weights.rest[name], expected)


def test_shards_with_an_index_equal_one_file(tmp_path):
    single = load(write_checkpoint(tmp_path / "single"))
    sharded = load(write_checkpoint(tmp_path / "sharded", max_shard_size="100KB"))
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    for ours, theirs in ((single.blocks, sharded.blocks), (single.rest, sharded.rest)):
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_weights_are_rounded_to_the_asked_dtype(tmp_path):
    weights = load(write_checkpoint(tmp_path), dtype="bfloat16")
    expected = build_torch_module().to(torch.bfloat16).state_dict()["transformer_blocks.1.attn.to_q.weight"]
    assert {str(array.dtype) for array in [*weights.blocks.values(), *weights.rest.values()]} == {"bfloat16"}
    assert np.array_equal(np.asarray(weights.blocks["attn.to_q.weight"][1], np.float32), expected.float().numpy())


def test_all_names_that_do_not_fit_are_listed_before_anything_is_read(tmp_path, monkeypatch):
    tensors = load_file(write_checkpoint(tmp_path) / FILE)
    del tensors["proj_out.bias"], tensors["transformer_blocks.2.attn.to_q.bias"]
    tensors["guidance_embed.weight"] = tensors["lora.down"] = np.zeros(1, np.float32)
    tensors["x_embedder.proj.bias"] = np.zeros(25, np.float32)
    tensors["transformer_blocks.0.attn.to_q.bias"] = np.zeros((24, 1), np.float32)
    save_file(tensors, tmp_path / FILE)
    monkeypatch.setattr(WeightFiles, "read", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError) as error:
        load(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the weights do not fit its config.json:\n"
        "  2 missing: proj_out.bias, transformer_blocks.2.attn.to_q.bias\n"
        "  2 spare: guidance_embed.weight, lora.down\n"
        "  2 misshapen: transformer_blocks.0.attn.to_q.bias is [24, 1], not [24], "
        "x_embedder.proj.bias is [25], not [24]\n"
        "  Download or copy the checkpoint again."
    )


def test_a_checkpoint_with_fewer_layers_than_its_settings_is_refused(tmp_path):
    write_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=r"missing: .*transformer_blocks\.3\.attn\.to_q\.weight"):
        load(tmp_path, replace(TOY, num_layers=4))


@pytest.mark.parametrize("dtype", ["int8", "bool", "float64"])
def test_weights_that_are_no_floats_of_the_model_are_refused(tmp_path, dtype: str):
    tensors = load_file(write_checkpoint(tmp_path) / FILE)
    tensors["proj_out.bias"] = tensors["proj_out.bias"].astype(dtype)
    save_file(tensors, tmp_path / FILE)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}: weights must be .*, but proj_out.bias is "):
        load(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_holds_one_copy_of_the_weights_and_one_stored_tensor(tmp_path, dtype: str):
    config = replace(TOY, num_attention_heads=16, num_layers=6)
    files = dit_weights(write_checkpoint(tmp_path, config))
    tracemalloc.start()
    weights = load_weights(files, config, dtype=dtype, mesh=MESH)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size_bytes = sum(array.nbytes for array in [*weights.blocks.values(), *weights.rest.values()])
    assert held > size_bytes  # JAX took the buffers over: what numpy allocated is what the arrays use
    largest = max(math.prod(shape) for shape in files.shapes.values()) * 4  # float32
    assert peak < 1.02 * (size_bytes + largest)


def test_progress_ends_with_all_bytes(tmp_path):
    seen: list[tuple[int, int]] = []
    files = dit_weights(write_checkpoint(tmp_path))
    weights = load_weights(
        files, TOY, dtype="float32", mesh=MESH, progress=lambda done, total: seen.append((done, total))
    )
    size_bytes = sum(array.nbytes for array in [*weights.blocks.values(), *weights.rest.values()])
    assert seen == sorted(seen)
    assert seen[-1] == (size_bytes, size_bytes)


def test_a_part_has_the_weights_below_its_name():
    array = jnp.zeros(1)
    assert part({"a.b.weight": array, "a.bc": array, "ab.b": array}, "a").keys() == {"b.weight", "bc"}
