"""Kinds of chips and slices of them."""

import json
import os
import subprocess
import sys

import pytest

from stages.chips import CHIPS, TOPOLOGIES, chip_of_device, chip_of_topology
from stages.errors import MeshError

GIB = 2**30
# Asks the compiler for more than any chip has, and lets it say how much there is.
ASK_COMPILER = """
import json, re, sys
import jax, jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from stages.chips import CHIPS
from stages.preflight.target import find_target

def available(device):
    array = jax.ShapeDtypeStruct((100 * 2**20, 1024), jnp.float32, sharding=SingleDeviceSharding(device))
    try:
        jax.jit(lambda values: 2 * values).lower(array).compile()
    except jax.errors.JaxRuntimeError as error:
        return float(re.search(r"exceeds available HBM \\\\(([0-9.]+)G\\\\)", str(error))[1])

found = {}
for name, chip in CHIPS.items():
    devices = find_target(f"{name}:{chip.slices[1]}", "auto").devices
    found[name] = devices[0].device_kind, len(devices), available(devices[0])
print(json.dumps(found))
"""


def test_the_compiler_knows_each_chip_by_this_name_with_this_memory():
    pytest.importorskip("libtpu")
    command = [sys.executable, "-c", ASK_COMPILER.replace("\\\\", "\\")]
    done = subprocess.run(
        command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: kind for name, (kind, _, _) in found.items()} == {n: chip.device_kind for n, chip in CHIPS.items()}
    # a device is a chip, but half of one of tpu7x
    assert {name: num for name, (_, num, _) in found.items()} == {"v4": 8, "v5e": 4, "v5p": 8, "v6e": 4, "tpu7x": 16}
    for name, (_, _, gib) in found.items():  # 0.0.42 and 0.0.52 differ by a hundredth
        assert gib == pytest.approx(CHIPS[name].hbm_bytes / GIB, abs=0.02)


def test_a_slice_is_of_its_generations_chips():
    assert chip_of_topology("v6e:2x4") is CHIPS["v6e"]
    assert all(chip_of_topology(name) for name in TOPOLOGIES)


def test_a_device_is_known_by_jaxs_name_for_it():
    assert chip_of_device("TPU v5 lite") is CHIPS["v5e"]
    assert chip_of_device("cpu") is None


V6E = "v6e:1x1, v6e:2x2, v6e:2x4, v6e:4x4, v6e:4x8, v6e:8x8, v6e:8x16, v6e:16x16"
GENERATIONS = "A name is a generation (v4, v5e, v5p, v6e, tpu7x) and a shape, such as v6e:2x4."


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("v6e:2x5", f"A name has the chips along each axis: {V6E}."),
        ("v6e-8", "Write v6e:2x4."),
        ("v4-8", "Write v4:2x2x1."),
        ("v6e-9", f"A name has the chips along each axis: {V6E}."),
        ("v6:2x4", f"{GENERATIONS} Did you mean v6e?"),
        ("nonsense", GENERATIONS),
    ],
)
def test_an_unknown_slice_is_one_message_with_near_names(name: str, mend: str):
    with pytest.raises(MeshError) as caught:
        chip_of_topology(name)
    assert str(caught.value) == f"--topology {name}: no such slice of TPUs. {mend}"
