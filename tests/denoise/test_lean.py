"""What a process of this stage loads for a job of the built-in checkpoint."""

from pathlib import Path

import pytest

from tests.project import copy_built
from tests.stage_process import list_modules_of_node

pytestmark = [pytest.mark.processes, pytest.mark.compiles]

# All of them took longer than computing the video. A new version of a library that needs one of them gets it
# (lean_imports.py), and is found out here.
NEEDLESS = {
    "transformers", "scipy", "sympy", "torch._dynamo", "torch._inductor", "torch.distributed.tensor",
    "diffusers.models.transformers", "diffusers.pipelines",
}  # fmt: skip


def test_a_video_is_denoised_without_the_parts_of_libraries_that_do_nothing_for_it(built: Path, tmp_path: Path):
    modules = list_modules_of_node(copy_built(built, tmp_path / "project"), "denoise")
    assert not modules & NEEDLESS
    models = {name for name in modules if name.startswith("diffusers.models.transformers.")}
    assert models == {"diffusers.models.transformers.transformer_hunyuan_video15"}
