"""The shape of the code: who imports whom, and that every module has its tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
TESTED_AS_PROCESSES = {"__main__.py"}  # the stages' command lines
HEAVY = {"numpy", "jax", "torch", "torchax", "diffusers", "transformers", "safetensors", "av"}


def test_imports_go_one_way():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_module_has_its_test_file():
    modules = [
        path.relative_to(PROJECT / "stages")
        for path in (PROJECT / "stages").rglob("*.py")
        if path.name != "__init__.py" and path.name not in TESTED_AS_PROCESSES
    ]
    assert modules
    missing = [str(m) for m in modules if not (PROJECT / "tests" / m.parent / f"test_{m.name}").is_file()]
    assert not missing


@pytest.mark.parametrize("command", [["list"], ["list", "--all"], ["info", "encode"], ["help"]])
def test_asking_doit_loads_nothing_heavy(command: list[str]):
    program = f"import sys, json; from doit.doit_cmd import DoitMain; DoitMain().run({command!r}); " + (
        "print('\\n' + json.dumps(sorted(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert "doit" in loaded
    assert not loaded & HEAVY
