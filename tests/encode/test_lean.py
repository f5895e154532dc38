"""What a process of this stage loads for a job of the built-in checkpoint."""

from pathlib import Path

import pytest

from tests.devices import run_python
from tests.project import copy_built
from tests.stage_process import list_modules_of_node

pytestmark = pytest.mark.processes

NEEDLESS = {
    "scipy", "diffusers", "jax", "torchax", "av", "accelerate",
    "sympy", "torch._dynamo", "torch._inductor", "torch.distributed.tensor",  # a second and a half
}  # fmt: skip


def test_a_prompt_is_encoded_without_the_parts_of_libraries_that_do_nothing_for_it(built: Path, tmp_path: Path):
    modules = list_modules_of_node(copy_built(built, tmp_path / "project"), "encode")
    assert not modules & NEEDLESS
    models = {name.split(".")[2] for name in modules if name.startswith("transformers.models.") and "modeling" in name}
    assert models == {"qwen2_5_vl", "t5"} | models & {"auto"}


def test_all_that_transformers_keeps_of_torchs_compiler_is_for_masks_of_other_models():
    program = """
import sys
from stages.run.lean_imports import import_program
import_program("stages.encode")
kept = {
    value.__name__
    for name, module in [*sys.modules.items()]
    if name.partition(".")[0] == "transformers"
    for value in vars(module).values()
    if isinstance(value, type) and "_InertName" in [base.__name__ for base in value.__mro__[1:]]
}
print(*sorted(kept))
"""
    assert run_python("-c", program, settings={}).split() == ["TransformGetItemToIndex"]
