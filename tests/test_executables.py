"""Compiled programs are kept privately, loaded again, and never trusted blindly."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from stages.errors import StoreError
from stages.executables import FOLDER, Executables, Program
from stages.keys import digest_bytes

# A program on 8 devices with a donated argument. Prints what the process did, as JSON.
SHARDED = """
import json, sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from stages.executables import Executables, Program

num_compiled = 0
def count(event, duration, **_):
    global num_compiled
    num_compiled += event == "/jax/core/compile/backend_compile_duration"
jax.monitoring.register_event_duration_secs_listener(count)

mesh = Mesh(np.array(jax.devices()[::-1]), ("chips",))
split = NamedSharding(mesh, PartitionSpec("chips"))
shape = jax.ShapeDtypeStruct((8,), jnp.float32, sharding=split)
step = jax.jit(lambda weights, state: {"state": state + weights.sum()}, donate_argnames="state")
program = Program("toy", step.lower(shape, shape), weights=shape, state=shape, flops=0)
executable = Executables(Path(sys.argv[1])).compile(program)
weights, state = (jax.device_put(np.arange(8, dtype=np.float32), split) for _ in range(2))
result = executable.compiled(weights, state)["state"]
print(json.dumps({
    "was_loaded": executable.was_loaded,
    "num_compiled": num_compiled,
    "is_donated": state.is_deleted(),
    "result": np.asarray(result).tolist(),
}))
"""


def run_sharded(store: Path, **variables: str) -> dict[str, object]:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        **variables,
    }
    command = [sys.executable, "-c", SHARDED, str(store)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def double() -> Program:
    """A program of one line for the first device."""
    shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    return Program("double", jax.jit(lambda array: 2 * array).lower(shape), weights=shape, state=(), flops=0)


def kept_file(store: Path) -> Path:
    (path,) = (store / FOLDER).iterdir()
    return path


def test_a_second_process_compiles_nothing_and_computes_the_same(tmp_path: Path):
    expected = {"is_donated": True, "result": [28.0 + value for value in range(8)]}
    assert run_sharded(tmp_path) == {"was_loaded": False, "num_compiled": 1, **expected}
    assert run_sharded(tmp_path) == {"was_loaded": True, "num_compiled": 0, **expected}


def test_other_compiler_flags_are_another_program(tmp_path: Path):
    run_sharded(tmp_path)
    assert run_sharded(tmp_path, LIBTPU_INIT_ARGS="--xla_tpu_scoped_vmem_limit_kib=65536")["was_loaded"] is False


def test_another_setting_of_jax_is_another_program(tmp_path: Path):
    Executables(tmp_path).compile(double())
    with jax.numpy_rank_promotion("raise"):
        assert not Executables(tmp_path).compile(double()).was_loaded


def test_a_program_that_reads_another_of_two_equal_arguments_is_another_program(tmp_path: Path):
    """Their text is the same: arguments that are not read are not in it."""
    shape = jax.ShapeDtypeStruct((), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    results = []
    for index in range(2):
        lowered = jax.jit(lambda *pair, index=index: 2 * pair[index]).lower(shape, shape)
        executable = Executables(tmp_path).compile(Program("toy", lowered, weights=shape, state=shape, flops=0))
        results.append((executable.was_loaded, float(executable.compiled(np.float32(1), np.float32(10)))))
    assert results == [(False, 2.0), (False, 20.0)]


@pytest.mark.parametrize("tree", [lambda array: {"old": array}, lambda array: (array,)])
def test_a_program_whose_arguments_form_another_tree_is_another_program(tmp_path: Path, tree):
    """Their text is the same: it has no names."""
    shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    double = jax.jit(lambda given: 2 * jax.tree.leaves(given)[0])
    _, second = (
        Executables(tmp_path).compile(Program("toy", double.lower(given), weights=shape, state=(), flops=0))
        for given in ({"new": shape}, tree(shape))
    )
    assert not second.was_loaded
    assert np.asarray(second.compiled(tree(np.ones(4, np.float32)))).tolist() == [2.0] * 4


def test_the_folder_and_its_files_are_the_users_alone(tmp_path: Path):
    Executables(tmp_path).compile(double())
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700
    assert stat.S_IMODE(kept_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, mode: int):
    Executables(tmp_path).compile(double())
    folder = tmp_path / FOLDER
    folder.chmod(mode)
    with pytest.raises(StoreError) as caught:
        Executables(tmp_path).compile(double())
    assert str(caught.value) == (
        f"{folder}: is not a folder of yours alone (mode 0700), and compiled programs are run from it: "
        "whoever can write there could run code as you. Delete it; it is made again."
    )


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / FOLDER).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="is not a folder of yours alone"):
        Executables(tmp_path).compile(double())


def test_a_store_that_cannot_be_written_is_one_message(tmp_path: Path):
    store = tmp_path / "store"
    store.write_text("a file")
    with pytest.raises(StoreError) as caught:
        Executables(store).compile(double())
    assert str(caught.value) == (
        f"{store / FOLDER}: cannot be made (File exists). Mend its permissions, or set `artifacts` in "
        "params/machine.toml to a folder that can be written."
    )


@pytest.mark.parametrize("length", [0, 10, 32, 500])
def test_a_file_cut_short_is_replaced(tmp_path: Path, length: int):
    Executables(tmp_path).compile(double())
    whole = kept_file(tmp_path).stat().st_size
    os.truncate(kept_file(tmp_path), length)
    assert not Executables(tmp_path).compile(double()).was_loaded
    assert kept_file(tmp_path).stat().st_size == whole
    assert Executables(tmp_path).compile(double()).was_loaded


def test_a_file_with_a_changed_byte_is_replaced(tmp_path: Path):
    Executables(tmp_path).compile(double())
    content = bytearray(kept_file(tmp_path).read_bytes())
    content[-1] ^= 1
    kept_file(tmp_path).write_bytes(content)
    assert not Executables(tmp_path).compile(double()).was_loaded


def test_a_whole_file_of_something_else_is_replaced(tmp_path: Path):
    Executables(tmp_path).compile(double())
    kept_file(tmp_path).write_bytes(digest_bytes(b"no executable").encode() + b"no executable")
    assert not Executables(tmp_path).compile(double()).was_loaded
    assert Executables(tmp_path).compile(double()).was_loaded


def test_a_file_that_others_can_write_is_not_read(tmp_path: Path):
    Executables(tmp_path).compile(double())
    kept_file(tmp_path).chmod(0o666)
    assert not Executables(tmp_path).compile(double()).was_loaded
    assert stat.S_IMODE(kept_file(tmp_path).stat().st_mode) == 0o600


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path):
    Executables(tmp_path).compile(double())
    elsewhere = kept_file(tmp_path).rename(tmp_path / "elsewhere")
    (tmp_path / FOLDER / "link").symlink_to(elsewhere)
    (tmp_path / FOLDER / "link").rename(tmp_path / FOLDER / _name_of_double(tmp_path))
    assert not Executables(tmp_path).compile(double()).was_loaded


def _name_of_double(store: Path) -> str:
    Executables(store / "other").compile(double())
    return kept_file(store / "other").name


def test_the_least_recently_used_program_goes_when_there_are_too_many(tmp_path: Path):
    Executables(tmp_path).compile(double())
    size = kept_file(tmp_path).stat().st_size
    old = tmp_path / FOLDER / "old"
    old.write_bytes(b"x" * size)
    os.utime(old, (0, 0))
    (tmp_path / FOLDER / _name_of_double(tmp_path)).unlink()
    Executables(tmp_path, max_bytes=size).compile(double())
    assert kept_file(tmp_path).name == _name_of_double(tmp_path)


def test_a_loaded_program_knows_its_memory_as_a_compiled_one(tmp_path: Path):
    compiled, loaded = (Executables(tmp_path).compile(double()).compiled for _ in range(2))
    assert loaded.memory_analysis().output_size_in_bytes == compiled.memory_analysis().output_size_in_bytes
    assert np.asarray(loaded(np.ones(4, np.float32))).tolist() == [2.0] * 4


# The same for chips that this machine does not have.
FOR_A_TOPOLOGY = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
from jax.experimental.topologies import get_topology_desc
from jax.sharding import SingleDeviceSharding
from stages.executables import Executables, Program

chip = get_topology_desc(topology_name="v6e:2x2", platform="tpu").devices[0]
shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(chip))
program = Program("double", jax.jit(lambda array: 2 * array).lower(shape), weights=shape, state=(), flops=0)
print([Executables(Path(sys.argv[1])).compile(program).was_loaded for _ in range(2)])
"""


def test_a_program_for_chips_that_are_not_here_is_compiled_each_time_and_not_kept(tmp_path: Path):
    pytest.importorskip("libtpu")
    no_tpu = {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    command = [sys.executable, "-c", FOR_A_TOPOLOGY, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | no_tpu, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[False, False]"
    assert not (tmp_path / FOLDER).exists()
