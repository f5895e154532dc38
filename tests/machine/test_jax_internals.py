"""The private names of JAX are there, mean what they are used for, and are used in one module."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp

import stages
from stages.machine.jax_internals import (
    CLOUD_TPU_CLUSTERS,
    hardware_fingerprint,
    has_backend,
    kept_arguments,
    key_value_client,
)
from tests.devices import run_python

PACKAGE = Path(stages.__file__).parent


def imported(path: Path) -> set[str]:
    """Names of the modules that a source file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_private_names_are_imported_in_one_module():
    private = [
        path.relative_to(PACKAGE).as_posix()
        for path in sorted(PACKAGE.rglob("*.py"))
        if any(f"{name}.".startswith(("jax._src.", "jaxlib.")) for name in imported(path))
    ]
    assert private == ["machine/jax_internals.py"]


def test_jax_says_whether_it_has_opened_devices_without_opening_them():
    program = (
        "import jax; from stages.machine.jax_internals import has_backend\n"
        "before = has_backend(); jax.devices(); print(before, has_backend())"
    )
    assert run_python("-c", program, settings={"JAX_PLATFORMS": "cpu"}).split() == ["False", "True"]
    assert has_backend() is (len(jax.devices()) > 0)


def test_gke_is_asked_before_the_metadata_of_a_virtual_machine():
    """GKE answers by the environment, without the network."""
    assert [cluster.name for cluster in CLOUD_TPU_CLUSTERS] == ["gketpu", "gcetpu"]


def test_a_process_that_has_not_joined_has_no_key_value_store():
    assert key_value_client() is None


def test_arguments_that_nothing_depends_on_are_not_kept():
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    assert kept_arguments(jax.jit(lambda _, second: 2 * second).lower(shape, shape)) == [1]


def test_the_same_hardware_has_the_same_fingerprint():
    assert hardware_fingerprint(jax.devices()) == hardware_fingerprint(jax.devices()) > 0
