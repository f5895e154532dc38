"""What runs after the sources or the checkpoint have been edited: real runs of doit on a copy of the package."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
ALL = ["encode", "denoise", "decode", "export"]
SAMPLING = "stages/denoise/sampling.py"
SHIFTED = "    return flow_shift * sigmas / (1 + (flow_shift - 1) * sigmas)\n"


def stages_run(root: Path, *arguments: str) -> list[str]:
    """Stages that made an artifact in one run of doit with the package in `root`, in order."""
    command = [sys.executable, "-m", "doit", *arguments]  # -m: the package in the working folder goes first
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.split(":")[0] for line in result.stdout.splitlines() if "  made in " in line]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its own package and checkpoint folder, in which the default video has been made."""
    root = tmp_path_factory.mktemp("built")
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, root / name)
    shutil.copytree(PROJECT / "params", root / "params")
    shutil.copytree(PROJECT / "stages", root / "stages", ignore=shutil.ignore_patterns("builtin", "__pycache__"))
    shutil.copytree(PROJECT / "stages/models/builtin/shapes", root / "model")
    edit(root / "params/model.toml", '"builtin:shapes"', '"model"')
    assert stages_run(root) == ALL
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """A copy of it, with the times of its files."""
    shutil.copytree(built, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def test_comments_docstrings_and_formatting_run_nothing(root: Path):
    for stage in ALL:
        path = root / f"stages/{stage}/edge.py"
        path.write_text(path.read_text(encoding="utf-8") + "\n\n# A comment.\n", encoding="utf-8")
    edit(root / SAMPLING, SHIFTED, SHIFTED.replace("flow_shift * sigmas", "(flow_shift *\n            sigmas)"))
    edit(root / SAMPLING, '"""Bend a noise schedule', '"""Bend, as a reader might put it, a noise schedule')
    assert stages_run(root) == []


def test_a_changed_line_that_makes_the_same_bytes_runs_its_stage_alone(root: Path):
    edit(root / SAMPLING, SHIFTED, SHIFTED.replace("return ", "shifted = ") + "    return shifted\n")
    assert stages_run(root) == ["denoise"]
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


def test_a_second_video_with_the_same_prompt_and_another_seed_is_not_encoded_again(root: Path):
    demo = (root / "params/videos/demo.toml").read_text()
    (root / "params/videos/other.toml").write_text(demo.replace("[denoise]", "[denoise]\nseed = 7"))
    assert stages_run(root) == ["denoise", "decode", "export"]
