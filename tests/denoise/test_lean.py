"""What a process of this stage loads for a job of the built-in checkpoint."""

from pathlib import Path

import pytest

from tests.devices import run_python
from tests.project import copy_built
from tests.stage_process import list_modules_of_node

pytestmark = [pytest.mark.processes, pytest.mark.compiles]

# All of them took longer than computing the video. A new version of a library that needs one of them gets it
# (lean_imports.py), and is found out here.
NEEDLESS = {
    "transformers", "scipy", "sympy", "torch._dynamo", "torch._inductor", "torch.distributed.tensor",
    "diffusers.pipelines",
}  # fmt: skip


def test_a_video_is_denoised_without_the_parts_of_libraries_that_do_nothing_for_it(built: Path, tmp_path: Path):
    modules = list_modules_of_node(copy_built(built, tmp_path / "project"), "denoise")
    assert not modules & NEEDLESS


def test_all_that_diffusers_keeps_of_torchs_compiler_are_marks_on_functions():
    program = """
import sys
from stages.run.lean_imports import import_program
import_program("stages.denoise")
kept = {
    value.__name__
    for module in [*sys.modules.values()]
    for value in vars(module).values()
    if isinstance(value, type) and "_InertName" in [base.__name__ for base in value.__mro__[1:]]
}
print(*sorted(kept))
"""
    assert run_python("-c", program, settings={"JAX_PLATFORMS": "cpu"}).split() == ["allow_in_graph"]
