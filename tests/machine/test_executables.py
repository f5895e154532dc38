"""Compiled programs are kept privately, loaded again, and never trusted blindly."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable
from jax.sharding import SingleDeviceSharding

from stages.machine.executables import FOLDER, Executable, Executables, Program, compile_in_memory, describe_compiling
from stages.machine.private_folder import open_private
from tests.mounts import mounted

pytestmark = pytest.mark.compiles

# A program on 8 devices with a donated argument. Prints what the process did, as JSON.
SHARDED = """
import json, sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from stages.machine.executables import Executables, Program

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
executable = Executables(Path(sys.argv[1]), warn=print).compile(program)
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


def compile_double(store: Path) -> Executable:
    """Loaded or compiled, without a warning."""
    return Executables(store, warn=pytest.fail).compile(double())


def kept_file(store: Path) -> Path:
    (path,) = (store / FOLDER).iterdir()
    return path


def test_a_second_process_compiles_nothing_and_computes_the_same(tmp_path: Path):
    expected = {"is_donated": True, "result": [28.0 + value for value in range(8)]}
    assert run_sharded(tmp_path) == {"was_loaded": False, "num_compiled": 1, **expected}
    assert run_sharded(tmp_path) == {"was_loaded": True, "num_compiled": 0, **expected}


def test_a_program_is_known_by_the_name_of_its_file_also_when_it_was_loaded(tmp_path: Path):
    compiled, loaded = compile_double(tmp_path), compile_double(tmp_path)
    assert compiled.name == loaded.name == kept_file(tmp_path).name
    assert describe_compiling([loaded]) == {
        "compile_s": round(loaded.compile_s, 3),
        "was_loaded": True,
        "programs": [loaded.name],
    }
    assert describe_compiling([compiled, loaded])["was_loaded"] is False
    assert describe_compiling([]) == {}


def test_other_compiler_flags_are_another_program(tmp_path: Path):
    run_sharded(tmp_path)
    assert run_sharded(tmp_path, LIBTPU_INIT_ARGS="--xla_tpu_scoped_vmem_limit_kib=65536")["was_loaded"] is False


def test_another_setting_of_jax_is_another_program(tmp_path: Path):
    compile_double(tmp_path)
    with jax.numpy_rank_promotion("raise"):
        assert not compile_double(tmp_path).was_loaded


def test_a_program_that_reads_another_of_two_equal_arguments_is_another_program(tmp_path: Path):
    """Their text is the same: arguments that are not read are not in it."""
    shape = jax.ShapeDtypeStruct((), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    results = []
    for index in range(2):
        lowered = jax.jit(lambda *pair, index=index: 2 * pair[index]).lower(shape, shape)
        executable = Executables(tmp_path, warn=pytest.fail).compile(
            Program("toy", lowered, weights=shape, state=shape, flops=0)
        )
        results.append((executable.was_loaded, float(executable.compiled(np.float32(1), np.float32(10)))))
    assert results == [(False, 2.0), (False, 20.0)]


@pytest.mark.parametrize("tree", [lambda array: {"old": array}, lambda array: (array,)])
def test_a_program_whose_arguments_form_another_tree_is_another_program(tmp_path: Path, tree):
    """Their text is the same: it has no names."""
    shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    double = jax.jit(lambda given: 2 * jax.tree.leaves(given)[0])
    _, second = (
        Executables(tmp_path, warn=pytest.fail).compile(
            Program("toy", double.lower(given), weights=shape, state=(), flops=0)
        )
        for given in ({"new": shape}, tree(shape))
    )
    assert not second.was_loaded
    assert np.asarray(second.compiled(tree(np.ones(4, np.float32)))).tolist() == [2.0] * 4


def test_without_a_private_folder_programs_are_compiled_and_one_warning_says_why(tmp_path: Path):
    folder = tmp_path / FOLDER
    folder.mkdir(mode=0o755)
    warnings: list[str] = []
    executables = Executables(tmp_path, warn=warnings.append)
    for _ in range(2):
        executable = executables.compile(double())
        assert not executable.was_loaded
        assert np.asarray(executable.compiled(np.ones(4, np.float32))).tolist() == [2.0] * 4
    assert not list(folder.iterdir())
    (warning,) = warnings
    assert warning.startswith(f"{folder}: is not a folder that you own with mode 0700, ")
    assert warning.endswith(" Until then nothing is kept, and each process compiles its programs again.")


def test_a_damaged_file_is_replaced_with_a_warning(tmp_path: Path):
    compile_double(tmp_path)
    name = kept_file(tmp_path).name
    os.truncate(kept_file(tmp_path), 500)
    warnings: list[str] = []
    assert not Executables(tmp_path, warn=warnings.append).compile(double()).was_loaded
    assert warnings == [
        f"the double that was kept cannot be loaded ({name} is damaged, or was written under another name). It is "
        "compiled again and replaced."
    ]
    assert compile_double(tmp_path).was_loaded


def test_a_whole_file_of_something_else_is_replaced_with_a_warning(tmp_path: Path):
    compile_double(tmp_path)
    with open_private(tmp_path / FOLDER) as folder:
        folder.write(kept_file(tmp_path).name, b"no executable")
    warnings: list[str] = []
    assert not Executables(tmp_path, warn=warnings.append).compile(double()).was_loaded
    assert warnings[0].startswith("the double that was kept cannot be loaded (UnpicklingError: ")
    assert compile_double(tmp_path).was_loaded


def test_a_program_that_cannot_be_kept_is_compiled_with_a_warning(tmp_path: Path):
    def show_and_double(array):
        jax.debug.print("{}", array)
        return 2 * array

    shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(jax.devices()[0]))
    program = Program("toy", jax.jit(show_and_double).lower(shape), weights=shape, state=(), flops=0)
    warnings: list[str] = []
    executable = Executables(tmp_path, warn=warnings.append).compile(program)
    assert np.asarray(executable.compiled(np.ones(4, np.float32))).tolist() == [2.0] * 4
    with pytest.raises(Exception, match=r"local object .*callback") as caught:  # of a kind and in words of the Python's
        serialize_executable.serialize(executable.compiled)
    reason = f"{caught.type.__name__}: {caught.value}"
    assert warnings == [f"the toy cannot be kept ({reason}); each process compiles it again."]
    assert not list((tmp_path / FOLDER).iterdir())


def test_a_program_that_cannot_be_written_is_compiled_with_a_warning(tmp_path: Path):
    compile_double(tmp_path)
    kept = kept_file(tmp_path)
    kept.unlink()
    kept.mkdir()
    warnings: list[str] = []
    assert not Executables(tmp_path, warn=warnings.append).compile(double()).was_loaded
    assert warnings[-1] == (
        f"{tmp_path / FOLDER}: cannot be written (Is a directory), so that each process compiles the double again. "
        "Make room, or set `artifacts` in params/machine.toml to a folder that can be written."
    )


def test_a_program_that_would_take_the_room_of_artifacts_is_not_kept(tmp_path: Path):
    size = len(serialize_executable.serialize(double().compile())[0])
    disk_bytes = 8 * size
    with mounted(tmp_path / "small", f"size={disk_bytes}") as store:
        warnings: list[str] = []
        assert not Executables(store, warn=warnings.append).compile(double()).was_loaded
        assert [*(store / FOLDER).iterdir()] == []
    (warning,) = warnings
    assert re.fullmatch(
        rf"the double is not kept, so that the room stays for artifacts: it has {size / 2**20:.2f} MiB, and compiled "
        r"programs may take 0\.\d\d MiB on this disk\. Each process compiles it again\.",
        warning,
    )


def test_files_beyond_the_limit_are_deleted(tmp_path: Path):
    compile_double(tmp_path)
    size = kept_file(tmp_path).stat().st_size
    kept_file(tmp_path).rename(tmp_path / FOLDER / "old")
    os.utime(tmp_path / FOLDER / "old", (0, 0))
    Executables(tmp_path, warn=pytest.fail, max_bytes=size).compile(double())
    assert kept_file(tmp_path).name != "old"


def test_a_loaded_program_knows_its_memory_as_a_compiled_one(tmp_path: Path):
    compiled, loaded = (compile_double(tmp_path).compiled for _ in range(2))
    assert loaded.memory_analysis().output_size_in_bytes == compiled.memory_analysis().output_size_in_bytes
    assert np.asarray(loaded(np.ones(4, np.float32))).tolist() == [2.0] * 4


# The same for chips that this machine does not have.
FOR_A_TOPOLOGY = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp
from jax.experimental.topologies import get_topology_desc
from jax.sharding import SingleDeviceSharding
from stages.machine.executables import Executables, Program

chip = get_topology_desc(topology_name="v6e:2x2", platform="tpu").devices[0]
shape = jax.ShapeDtypeStruct((4,), jnp.float32, sharding=SingleDeviceSharding(chip))
program = Program("double", jax.jit(lambda array: 2 * array).lower(shape), weights=shape, state=(), flops=0)
print([Executables(Path(sys.argv[1]), warn=print).compile(program).was_loaded for _ in range(2)])
"""


def test_a_program_for_chips_that_are_not_here_is_compiled_each_time_and_not_kept(tmp_path: Path):
    pytest.importorskip("libtpu")
    no_tpu = {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    command = [sys.executable, "-c", FOR_A_TOPOLOGY, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | no_tpu, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[False, False]"
    assert not (tmp_path / FOLDER).exists()


def test_without_a_store_a_program_is_compiled_each_time_and_computes_the_same():
    for _ in range(2):
        executable = compile_in_memory(double())
        assert not executable.was_loaded
        assert executable.compile_s > 0
        assert executable.compiled(np.ones(4, np.float32)).tolist() == [2.0] * 4
