"""The shape of the code: who imports whom, and that every module has its tests."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tests.project import HEAVY, PROJECT, copy_package, copy_project, watch_doit

TESTED_AS_PROCESSES = {"__main__.py"}  # the stages' command lines
# For each contract of pyproject.toml a module, and an import that would break this contract and no other.
FAULTS = {
    "Imports go one way": ("stages.geometry", "stages.commands.run"),
    "A run that has nothing to do loads nothing heavy": ("stages.commands.run", "numpy"),
    "torch lives only in the text encoders, the bridge and what takes decode over": (
        "stages.decode.strips",
        "torch",
    ),
    "Files from elsewhere are read, and previews painted, without what models need": (
        "stages.previews.estimate",
        "jax",
    ),
    "What takes decode over builds on decode, and on no other stage": (
        "stages.diffusers_decode.torch_decoder",
        "stages.export.video",
    ),
    "Preflight builds on the stages that it compiles, and otherwise only on the text of prompts": (
        "stages.preflight.lowering",
        "stages.from_file.edge",
    ),
}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on the package in `root`, each contract on a line of its own."""
    linter = Path(sys.executable).with_name("lint-imports")
    command = [linter, "--no-cache", "--no-logo"]
    wide = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=wide, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts():
    result = lint_imports(PROJECT)
    assert result.returncode == 0, result.stdout


def test_every_contract_has_a_fault_that_it_must_find():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert [contract["name"] for contract in project["tool"]["importlinter"]["contracts"]] == [*FAULTS]


@pytest.mark.parametrize("contract", FAULTS)
def test_a_planted_import_breaks_its_contract_and_no_other(tmp_path: Path, contract: str):
    module, imported = FAULTS[contract]
    path = copy_package(tmp_path) / f"{module.replace('.', '/')}.py"
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport {imported}\n", encoding="utf-8")
    result = lint_imports(tmp_path)
    broken = re.findall(r"^(.*) BROKEN(?: \(\d+ ignored imports?\))?$", result.stdout, re.MULTILINE)
    assert (result.returncode, broken) == (1, [contract]), result.stdout + result.stderr
    assert f"{module} -> {imported} (" in result.stdout


def test_every_module_has_its_test_file():
    modules = [
        path.relative_to(PROJECT / "stages")
        for path in (PROJECT / "stages").rglob("*.py")
        if path.name != "__init__.py" and path.name not in TESTED_AS_PROCESSES
    ]
    assert modules
    missing = [str(m) for m in modules if not (PROJECT / "tests" / m.parent / f"test_{m.name}").is_file()]
    assert not missing


def find_own_readers(source: str) -> list[str]:
    """Calls that read or parse a file whatever it is; what is in machine/ refuses a FIFO, and all that is no JSON."""
    names = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return [name for name in names if name.endswith((".read_text", ".read_bytes", "json.loads", "json.load"))]


def test_what_lies_in_a_store_is_read_by_what_expects_anything():
    assert find_own_readers("json.loads(path.read_text())") == ["json.loads", "path.read_text"]
    modules = (PROJECT / "stages" / "store").glob("*.py")
    found = {path.name: find_own_readers(path.read_text(encoding="utf-8")) for path in modules}
    assert {name: readers for name, readers in found.items() if readers} == {}


def test_no_file_is_imported_under_two_names():
    """Of what this process has imported: with the whole suite, every module of the tests."""
    files = [str(vars(module).get("__file__")) for module in [*sys.modules.values()] if isinstance(module, ModuleType)]
    # an environment may lie in the project's folder
    ours = Counter(file for file in files if file.startswith(f"{PROJECT}/") and not file.startswith(sys.prefix))
    assert ours
    assert [file for file, number in ours.items() if number > 1] == []


@pytest.mark.parametrize(
    "command", [["list"], ["list", "--all"], ["info", "encode"], ["help"], ["timings"], ["explain"]]
)
def test_asking_doit_loads_nothing_heavy(tmp_path: Path, command: list[str]):
    _, _, modules = watch_doit(copy_project(tmp_path), *command)
    assert not modules & HEAVY
