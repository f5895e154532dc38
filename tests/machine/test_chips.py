"""Kinds of chips and slices of them."""

import json
import math
import os
import subprocess
import sys

import pytest

from stages.errors import MeshError
from stages.machine.chips import CHIPS, TOPOLOGIES, chip_of_device, chip_of_topology, host_bounds, host_of_topology

GIB = 2**30
# Asks the compiler for more than any chip has, and lets it say how much there is.
ASK_COMPILER = """
import json, re, sys
import jax, jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from stages.machine.chips import CHIPS
from stages.preflight.target import find_target

def available(device):
    array = jax.ShapeDtypeStruct((100 * 2**20, 1024), jnp.float32, sharding=SingleDeviceSharding(device))
    try:
        jax.jit(lambda values: 2 * values).lower(array).compile()
    except jax.errors.JaxRuntimeError as error:
        return float(re.search(r"exceeds available HBM \\\\(([0-9.]+)G\\\\)", str(error))[1])

found = {}
for name, chip in CHIPS.items():
    slices = {shape: find_target(f"{name}:{shape}", "auto").devices for shape in chip.slices}
    hosts = {shape: len({device.process_index for device in devices}) for shape, devices in slices.items()}
    sizes = {shape: len(devices) for shape, devices in slices.items()}
    (smallest, *_) = slices.values()
    found[name] = {"kind": smallest[0].device_kind, "sizes": sizes, "hosts": hosts, "gib": available(smallest[0])}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, dict]:
    """What the compiler says of each generation's slices."""
    pytest.importorskip("libtpu")
    command = [sys.executable, "-c", ASK_COMPILER.replace("\\\\", "\\")]
    done = subprocess.run(
        command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True
    )
    found: dict[str, dict] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_compiler_knows_each_chip_by_this_name_with_this_memory(said: dict[str, dict]):
    assert {name: each["kind"] for name, each in said.items()} == {n: chip.device_kind for n, chip in CHIPS.items()}
    for name, each in said.items():  # libtpu 0.0.42.1 and 0.0.52 differ by a hundredth
        assert each["gib"] == pytest.approx(CHIPS[name].hbm_bytes / GIB, abs=0.02)


def test_the_compiler_knows_all_slices_and_a_device_is_a_chip_but_half_of_one_of_tpu7x(said: dict[str, dict]):
    for name, chip in CHIPS.items():
        per_chip = 2 if name == "tpu7x" else 1
        assert said[name]["sizes"] == {shape: per_chip * math.prod(map(int, shape.split("x"))) for shape in chip.slices}


def test_the_compiler_has_as_many_hosts_as_a_slice_has(said: dict[str, dict]):
    planes = {"1x1": 1, "2x2": 1, "2x4": 1, "4x4": 4, "4x8": 8, "8x8": 16, "8x16": 32, "16x16": 64}
    assert said["v5e"]["hosts"] == said["v6e"]["hosts"] == planes
    assert said["v5p"]["hosts"] == {shape: math.prod(map(int, shape.split("x"))) // 4 for shape in CHIPS["v5p"].slices}


@pytest.mark.parametrize(
    ("topology", "host"),
    [
        ("v5e:1x1", "v5e:1x1"),
        ("v5e:2x4", "v5e:2x4"),
        ("v6e:4x4", "v6e:2x2"),
        ("v6e:16x16", "v6e:2x2"),
        ("v4:2x2x1", "v4:2x2x1"),
        ("tpu7x:4x4x4", "tpu7x:2x2x1"),
    ],
)
def test_a_host_of_a_slice_is_a_slice(topology: str, host: str):
    assert host_of_topology(topology) == host
    assert math.prod(host_bounds(topology)) == math.prod(map(int, host.partition(":")[2].split("x")))


def test_a_host_of_each_slice_is_one_that_can_be_asked_for():
    assert {host_of_topology(name) for name in TOPOLOGIES} <= {*TOPOLOGIES}


def test_a_slice_is_of_its_generations_chips():
    assert chip_of_topology("v6e:2x4") is CHIPS["v6e"]
    assert all(chip_of_topology(name) for name in TOPOLOGIES)


def test_a_device_is_known_by_jaxs_name_for_it():
    assert chip_of_device("TPU v5 lite") is CHIPS["v5e"]
    assert chip_of_device("cpu") is None


V6E = "v6e:1x1, v6e:2x2, v6e:2x4, v6e:4x4, v6e:4x8, v6e:8x8, v6e:8x16, v6e:16x16"
GENERATIONS = "A name is a generation (v4, v5e, v5p, v6e, tpu7x) and a shape, such as v6e:2x4."


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("v6e:2x5", f"A name has the chips along each axis: {V6E}."),
        ("v6e-8", "Write v6e:2x4."),
        ("v4-8", "Write v4:2x2x1."),
        ("v6e-9", f"A name has the chips along each axis: {V6E}."),
        ("v6:2x4", f"{GENERATIONS} Did you mean v6e?"),
        ("nonsense", GENERATIONS),
    ],
)
def test_an_unknown_slice_is_one_message_with_near_names(name: str, fix: str):
    with pytest.raises(MeshError) as caught:
        chip_of_topology(name)
    assert str(caught.value) == f"--topology {name}: not a slice of TPUs that preflight knows. {fix}"
