"""What runs after the sources or the checkpoint have been edited: real runs of doit on a copy of the package."""

import json
import os
from pathlib import Path

import pytest

from tests.project import ALL, copy_built, copy_checkpoint, copy_package, run_doit, set_defaults, stages_run

pytestmark = pytest.mark.processes

SAMPLING = "stages/denoise/sampling.py"
SHIFTED = "    return flow_shift * sigmas / (1 + (flow_shift - 1) * sigmas)\n"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """The project in which the default video has been made, with a package and a checkpoint folder of its own."""
    root = copy_package(copy_built(built, tmp_path / "project"), with_compiled=True)
    copy_checkpoint(root / "model")
    set_defaults(root, "model", checkpoint="model")
    return root


def test_another_place_of_the_same_package_and_checkpoint_runs_nothing(root: Path):
    assert stages_run(root) == []


def test_comments_docstrings_and_formatting_run_nothing(root: Path):
    for stage in ALL:
        path = root / f"stages/{stage}/edge.py"
        path.write_text(path.read_text(encoding="utf-8") + "\n\n# A comment.\n", encoding="utf-8")
    edit(root / SAMPLING, SHIFTED, SHIFTED.replace("flow_shift * sigmas", "(flow_shift *\n            sigmas)"))
    edit(root / SAMPLING, '"""Bend a noise schedule', '"""Bend, as a reader might put it, a noise schedule')
    assert stages_run(root) == []


def test_a_changed_line_that_makes_the_same_bytes_runs_its_stage_alone_as_it_was_announced(root: Path):
    edit(root / SAMPLING, SHIFTED, SHIFTED.replace("return ", "shifted = ") + "    return shifted\n")
    lines = run_doit(root, "explain").stdout.splitlines()
    assert lines[lines.index("    denoise/sampling.py changed") - 1].startswith("  denoise  run ")
    assert stages_run(root, "machine.start_ahead=never") == ["denoise"]
    assert stages_run(root) == []


def test_a_changed_line_that_makes_other_bytes_runs_what_reads_them(root: Path):
    edit(root / SAMPLING, SHIFTED, SHIFTED.replace("return ", "return np.float32(0.99) * "))
    assert stages_run(root) == ["denoise", "decode", "export"]
    assert stages_run(root) == []


def test_another_vae_runs_decode_and_export(root: Path):
    config = root / "model/vae/config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps(settings | {"scaling_factor": settings["scaling_factor"] * 1.01}))
    assert stages_run(root) == ["decode", "export"]


def test_a_weight_file_that_was_touched_and_is_equal_runs_nothing(root: Path):
    weights = root / "model/transformer/diffusion_pytorch_model.safetensors"
    os.utime(weights, (1, 1))
    assert stages_run(root) == []
    weights.write_bytes(weights.read_bytes())
    assert stages_run(root) == []


def test_a_reformatted_parameter_file_runs_nothing(root: Path):
    path = root / "params/videos/demo.toml"
    path.write_text("# Other words.\n\n" + path.read_text().replace(" = ", "  =  "))
    assert stages_run(root) == []
