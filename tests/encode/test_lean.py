"""What a process of this stage loads for a job of the built-in checkpoint."""

from pathlib import Path

import pytest

from tests.project import copy_built
from tests.stage_process import list_modules_of_node

pytestmark = pytest.mark.processes


def test_a_prompt_is_encoded_without_the_parts_of_libraries_that_do_nothing_for_it(built: Path, tmp_path: Path):
    modules = list_modules_of_node(copy_built(built, tmp_path / "project"), "encode")
    assert not modules & {"scipy", "diffusers", "jax", "torchax", "av", "accelerate"}
    models = {name.split(".")[2] for name in modules if name.startswith("transformers.models.") and "modeling" in name}
    assert models == {"qwen2_5_vl", "t5"} | models & {"auto"}
