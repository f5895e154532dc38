"""A checkpoint in the hub's layout, its transformer in shards: checked before it is read, loaded in its own size."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks.hub_checkpoint import all_shapes, write_hub_checkpoint
from stages.denoise.config import TransformerConfig
from stages.denoise.weights import load_weights
from stages.errors import CheckpointError
from stages.models.checkpoint import component_identity, open_component
from stages.models.places import resolve
from stages.pipeline.stages import STAGES
from stages.store.stat_cache import StatCache
from stages.tensors.weight_files import WeightFiles
from tests.denoise.builders import MESH, TOY, dit_weights, load
from tests.devices import run_python

pytestmark = pytest.mark.processes

SMALL = replace(TOY, num_layers=2)
# Half the real width: 231 MB in bfloat16.
HALF = TransformerConfig(num_attention_heads=8, num_layers=2, num_refiner_layers=1)
MOST = 1.1  # of the weights' bytes may be resident while they are loaded; measured: 1.04 (1 device), 1.02 (8)
# A process for each number of devices, forked from one that has the libraries and no device yet.
MEASURE = """
import json, os, sys
from pathlib import Path
from stages.run.lean_imports import import_program
import_program("stages.denoise")
from benchmarks.loader import measure
for num_devices in (1, 8):
    if not os.fork():
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={num_devices}"
        print(json.dumps(measure(Path(sys.argv[1]), "one")), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_hub_checkpoint(tmp_path / "hub", SMALL, shard_bytes=40_000)
    return tmp_path / "hub"


def rewrite(shard: Path, **changes: np.ndarray | None) -> None:
    """Replace, add or (None) remove tensors of a shard, in the index too; `__` in a name stands for a dot."""
    tensors: dict[str, Any] = load_file(shard)
    index = next(shard.parent.glob("*.index.json"))
    content = json.loads(index.read_text())
    for key, value in changes.items():
        name = key.replace("__", ".")
        tensors.pop(name, None)
        content["weight_map"].pop(name, None)
        if value is not None:
            tensors[name] = value
            content["weight_map"][name] = shard.name
    save_file(tensors, shard)
    index.write_text(json.dumps(content))


def test_every_component_is_found(small: Path, tmp_path: Path):
    checkpoint = resolve(str(small), "", tmp_path)
    components = [component for stage in STAGES for component in stage.components]
    assert {path.name for path in small.iterdir() if path.is_dir()} == {component.name for component in components}
    for component in components:
        assert open_component(checkpoint, component).folder == small / component.name
        assert len(component_identity(checkpoint, component, StatCache(tmp_path / "cache"))) == 32


def test_weights_are_loaded_from_all_shards(small: Path):
    shards = sorted((small / "transformer").glob("*-of-*.safetensors"))
    assert len(shards) > 3
    weights = load_weights(dit_weights(small / "transformer"), SMALL, dtype="bfloat16", mesh=MESH)
    stored = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
    assert {name: tensor.shape for name, tensor in stored.items()} == all_shapes(SMALL)
    for name, array in weights.rest.items():
        assert np.array_equal(np.asarray(array), stored[name])
    for name, array in weights.blocks.items():
        assert np.array_equal(np.asarray(array), [stored[f"transformer_blocks.{layer}.{name}"] for layer in range(2)])


def test_faults_of_all_shards_are_listed_before_a_tensor_is_read(small: Path, monkeypatch: pytest.MonkeyPatch):
    folder = small / "transformer"
    first, *_, last = sorted(folder.glob("*-of-*.safetensors"))
    missing = sorted(load_file(first))[0]
    misshapen = sorted(load_file(last))[0]
    shape = list(all_shapes(SMALL)[misshapen])
    zeros = np.zeros((1, 2, 3), np.float32)
    rewrite(first, **{missing.replace(".", "__"): None, "lora__up": zeros})
    rewrite(last, **{misshapen.replace(".", "__"): zeros, "lora__down": zeros})
    monkeypatch.setattr(WeightFiles, "read", lambda *_: pytest.fail("a tensor was read"))
    with pytest.raises(CheckpointError) as error:
        load(folder, SMALL)
    assert str(error.value) == (
        f"{folder}: the weights do not fit its config.json:\n"
        f"  1 missing: {missing}\n"
        "  2 spare: lora.down, lora.up\n"
        f"  1 misshapen: {misshapen} is [1, 2, 3], not {shape}\n"
        "  Download or copy the checkpoint again."
    )


def test_loading_takes_hardly_more_memory_than_the_weights(tmp_path: Path):
    """By the kernel's count of resident pages, in processes of their own."""
    write_hub_checkpoint(tmp_path / "hub", HALF, shard_bytes=40_000_000)
    lines = run_python("-c", MEASURE, tmp_path / "hub", settings={"JAX_PLATFORMS": "cpu"}).splitlines()
    one, eight = (json.loads(line) for line in lines)
    for sizes in (one, eight):
        assert sizes["held"] < 1.01 * sizes["whole"]  # vectors are whole on each device
        assert sizes["peak"] < MOST * sizes["whole"]
