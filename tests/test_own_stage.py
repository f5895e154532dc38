"""A stage that a project adds between two others: that of docs/own-stages.md, as the page has it.

Two files in a folder of the project and a line in its pyproject.toml; nothing of the package is edited. Latents come
from a file, so that only decode loads a model.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.run.loading import load_build
from stages.tensors.files import read_tensors
from tests.from_file.builders import random_latents
from tests.project import PROJECT, copy_built, copy_project, run_doit, stages_run

pytestmark = pytest.mark.processes

PAGE = (PROJECT / "docs/own-stages.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:python|toml)\n(?:# (\S+)\n)?(.*?)```", PAGE, re.DOTALL)  # the name of a file, and its text
LINE = BLOCKS[-1][1]


def run_program(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The stage's program, by hand."""
    command = [sys.executable, "-m", "stages.run", "brighten", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def keys(root: Path) -> dict[str, str]:
    return {stage: node.key for stage, node in load_build(root, {}).graph.videos["demo"].items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without the stage, built."""
    root = copy_project(tmp_path_factory.mktemp("plain"))
    save_file(dict(random_latents(num_frames=1)), root / "latents.safetensors")
    (root / "params/videos/demo.toml").write_text('[denoise]\nfrom_file = "latents.safetensors"\n')
    assert stages_run(root) == ["denoise", "decode", "export"]
    return root


@pytest.fixture(scope="module")
def built(plain: Path) -> Path:
    """The same with the stage: two files in a folder, and a line; built again."""
    root = copy_built(plain, plain.with_name("with"))
    (root / "brighten").mkdir()
    for name, text in BLOCKS[:-1]:
        (root / name).write_text(text)
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text() + LINE)
    assert stages_run(root) == ["brighten", "export"]
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return copy_built(built, tmp_path / "project")


def test_only_what_comes_after_it_has_another_key(plain: Path, built: Path):
    before, after = keys(plain), keys(built)
    assert [*after] == ["denoise", "decode", "brighten", "export"]
    assert {stage for stage in before if before[stage] != after[stage]} == {"export"}


def test_what_it_makes_is_what_the_next_stage_reads(plain: Path, built: Path):
    build = load_build(built, {})
    nodes = build.graph.videos["demo"]
    assert nodes["export"].inputs == {"brighten": nodes["brighten"].key}
    before = read_tensors(build.store.payload(nodes["decode"].artifact))["frames"].astype(np.float32)
    after = read_tensors(build.store.payload(nodes["brighten"].artifact))["frames"].astype(np.float32)
    assert np.allclose(after, np.clip(before + 0.5, -1, 1), atol=0.01)
    videos = [(folder / "artifacts/videos/demo.mp4").read_bytes() for folder in (plain, built)]
    assert videos[0] != videos[1]


def test_the_video_names_it(built: Path):
    with av.open(str(built / "artifacts/videos/demo.mp4")) as container:
        record = json.loads(container.metadata["comment"])
    assert record["stages"]["brighten"]["parameters"] == {"gain": 0.5}


def test_a_second_run_does_nothing(root: Path):
    assert stages_run(root) == []


def test_its_parameter_counts_from_it_on(root: Path):
    assert stages_run(root, "brighten.gain=0.25") == ["brighten", "export"]
    (root / "params/brighten.toml").write_text("gain = 0.25\n")
    assert stages_run(root) == []


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("brighten.gain=3", "brighten.gain = 3: must be less than or equal to 2."),
        ("brighten.gian=1", "brighten.gian = 1: no such parameter. Did you mean `brighten.gain`?"),
    ],
)
def test_its_rules_are_those_of_any_parameter(root: Path, override: str, fault: str):
    result = run_doit(root, override)
    assert (result.returncode, result.stderr) == (1, f"ParamsError: command line, {fault}\n")


def test_all_commands_know_it(root: Path):
    assert "brighten   frames -> lighter frames" in run_doit(root, "list").stdout
    title = load_build(root, {}).graph.videos["demo"]["brighten"].title
    assert title in run_doit(root, "list", "--all").stdout
    assert stages_run(root) == []  # doit has seen the files where they are now
    assert "up-to-date" in run_doit(root, "info", title).stdout
    assert "frames -> lighter frames" in run_doit(root, "help", "brighten").stdout
    assert "python -m stages.run brighten --video demo" in run_program(root, "--help").stdout


def test_its_node_can_be_made_by_hand(root: Path):
    result = run_program(root, "--video", "demo")
    assert result.returncode == 0, result.stderr
    assert "same bytes as before" in result.stderr


def test_forgetting_it_makes_it_again_and_equal_bytes_end_it_there(root: Path):
    assert run_doit(root, "forget", "brighten").stdout.startswith("forgotten: brighten:")
    assert stages_run(root) == ["brighten"]


def test_cleaning_it_removes_its_artifact_alone(root: Path):
    assert run_doit(root, "clean", "brighten").stdout.startswith("removed: brighten:")
    assert not list((root / "artifacts/brighten").iterdir())
    assert stages_run(root) == ["brighten"]


def test_its_code_is_part_of_its_verdict(root: Path):
    edge = root / "brighten/edge.py"
    edge.write_text(edge.read_text().replace("np.clip(", "np.clip(0.5 * "))
    result = run_doit(root, "info", load_build(root, {}).graph.videos["demo"]["brighten"].title)
    assert "the code of brighten has changed" in result.stdout
    assert stages_run(root) == ["brighten", "export"]


def test_without_its_line_the_project_is_what_it_was(root: Path):
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text().replace(LINE, ""))
    assert stages_run(root) == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"(\n", r", line \d+: '\(' was never closed\."),
        (b"# \xff\n", r": 'utf-8' codec can't decode byte 0xff .*"),
        (b"a\0b\n", r".*: source code string cannot contain null bytes\."),
        (b"from .... import x\n", r": attempted relative import beyond top-level package\."),
    ],
)
def test_code_that_is_no_python_is_named_before_anything_runs(root: Path, line: bytes, fault: str):
    edge = root / "brighten/edge.py"
    edge.write_bytes(edge.read_bytes() + line)
    for result in (run_doit(root), run_doit(root, "list"), run_program(root, "--video", "demo")):
        assert result.returncode == 1
        message = rf"ParamsError: {re.escape(str(edge))}{fault} Mend the file .*\n"
        assert re.fullmatch(message, result.stderr), result.stderr


@pytest.mark.parametrize(
    ("name", "other", "fault"),
    [
        ("def open_stage", "def begin", "AttributeError: module 'brighten.edge' has no attribute 'open_stage'"),
        ("import numpy as np", "import numpie as np", "ModuleNotFoundError: No module named 'numpie'"),
    ],
)
def test_code_that_cannot_be_loaded_is_told_with_its_exception(root: Path, name: str, other: str, fault: str):
    edge = root / "brighten/edge.py"
    assert name in edge.read_text()
    edge.write_text(edge.read_text().replace(name, other))
    result = run_doit(root)
    assert result.returncode == 1
    assert f"its process ended with exit code 1 ({fault})" in " ".join((result.stdout + result.stderr).split())
