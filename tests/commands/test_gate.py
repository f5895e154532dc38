"""`doit gate`, on a repository with code of its own: the program that takes latents from a file is changed there."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.store.manifest import NOTE
from tests.builders import files_below
from tests.diff.repository import commit_all, git
from tests.interrupts import interruptible_children
from tests.project import DOIT, PROJECT, SHAPES, copy_package, copy_params, set_defaults

pytestmark = pytest.mark.processes

PROGRAM = "stages/from_file/edge.py"
RESTORES = "tensors = restore_bfloat16(file)\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the package and a video's latents from a file, which git ignores; they have been made."""
    root = copy_package(copy_params(tmp_path_factory.mktemp("gate") / "project"))
    shutil.copy(PROJECT / "dodo.py", root)
    set_defaults(root, "model", checkpoint=str(SHAPES))
    set_defaults(root, "denoise", from_file="given/latents.safetensors")
    (root / "given").mkdir()
    latents = np.linspace(-2, 2, 32 * 3 * 6 * 6, dtype=np.float32).reshape(1, 32, 3, 6, 6)
    save_file({"latents": latents}, root / "given/latents.safetensors")
    (root / ".gitignore").write_text("artifacts/\ngiven/\n__pycache__/\n")
    commit_all(root)
    assert doit(root, "denoise").returncode == 0
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(built, tmp_path / "project", symlinks=True))


def doit(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DOIT, *arguments], cwd=root, capture_output=True, text=True, check=False)


def edit(root: Path, old: str, new: str) -> None:
    path = root / PROGRAM
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def shift_latents(root: Path, by: float) -> None:
    """Change the code so that all latents are others, and make them."""
    edit(root, RESTORES, f"{RESTORES}        tensors = {{name: each + {by} for name, each in tensors.items()}}\n")
    assert doit(root, "denoise").returncode == 0


def artifacts(root: Path) -> dict[str, bytes]:
    """The files of what has been made, but for notes, which a look at a store that was copied writes anew."""
    files = files_below(root / "artifacts/denoise")
    return {path: content for path, content in files.items() if not path.endswith(f"/{NOTE}")}


def assert_nothing_is_left(root: Path) -> None:
    assert [*(root / "artifacts/.drafts").iterdir()] == []
    assert git(root, "worktree", "list").count("\n") == 1


def test_equal_code_makes_nothing_and_passes(root: Path):
    before = artifacts(root)
    result = doit(root, "gate", "HEAD", "denoise")
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(
        r"denoise:[0-9a-f]{12}  demo\n  equal to the bit\n1 artifact compared in [^:]*: 1 equal to the bit\.\n",
        result.stdout,
    )
    assert "made in" not in result.stderr
    assert artifacts(root) == before
    assert_nothing_is_left(root)


def test_other_code_is_compared_and_the_store_keeps_what_is_here(root: Path):
    shift_latents(root, 0.5)
    before = artifacts(root)
    result = doit(root, "gate", "HEAD", "denoise")
    assert result.returncode == 1, result.stderr
    assert re.fullmatch(
        r"denoise:[0-9a-f]{12}  demo\n  the code of denoise changed\n"
        r"  latents: 3,456 of 3,456 values differ, by 0\.5 at most, PSNR 18\.1 dB\n"
        r"1 artifact compared in [^:]*: 0 equal to the bit, 1 not\.\n",
        result.stdout,
    )
    assert re.match(r"HEAD \([0-9a-f]{12}\) against the files here, with uncommitted changes\n", result.stderr)
    assert "made in" in result.stderr
    assert artifacts(root) == before
    assert_nothing_is_left(root)


def test_a_difference_within_the_tolerance_passes(root: Path):
    shift_latents(root, 0.5)
    result = doit(root, "gate", "HEAD", "denoise", "--tolerance", "0.51")
    assert result.returncode == 0
    assert result.stdout.endswith(": 0 equal to the bit, 1 within 0.51.\n")


def test_scripts_read_json(root: Path):
    shift_latents(root, 0.5)
    commit = commit_all(root)
    result = doit(root, "gate", "HEAD~1", "denoise", "--json")
    fields = json.loads(result.stdout)
    assert (result.returncode, fields["is_passed"], fields["has_uncommitted_changes"]) == (1, False, False)
    assert fields["revision"] != commit
    (node,) = fields["nodes"]
    assert (node["stage"], node["bytes"], node["is_within_tolerance"]) == ("denoise", "other", False)
    assert node["values"]["latents"]["max_abs"] == pytest.approx(0.5)
    assert [each["field"] for each in node["differences"]] == ["code"]


def test_present_parameters_count_and_not_those_of_then(root: Path):
    latents = load_file(root / "given/latents.safetensors")["latents"]
    save_file({"latents": latents * 2}, root / "given/other.safetensors")
    set_defaults(root, "denoise", from_file="given/other.safetensors")
    assert doit(root, "denoise").returncode == 0
    assert doit(root, "gate", "HEAD", "denoise").returncode == 0


def test_a_revision_with_other_keys_is_not_taken_for_equal(root: Path):
    path = root / "stages/keys.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^FORMAT\b(.*) = (\d+)", r"FORMAT\1 = 9\2", text, count=1, flags=re.MULTILINE), "utf-8")
    assert path.read_text(encoding="utf-8") != text
    commit_all(root)
    path.write_text(text, encoding="utf-8")
    result = doit(root, "gate", "HEAD", "denoise")
    assert result.returncode == 1, result.stderr
    assert "\n  the code of that revision gives it another key\n" in result.stdout
    assert result.stdout.endswith(": 0 equal to the bit, 1 not.\n")


def test_a_revision_whose_code_fails_is_one_message(root: Path):
    (root / "dodo.py").write_text("raise SystemExit('broken')\n")
    commit = commit_all(root)
    shutil.copy(PROJECT / "dodo.py", root)
    result = doit(root, "gate", "HEAD", "denoise")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.endswith(
        f"\nStageError: HEAD ({commit[:12]}): `doit` with the code of that revision and the present parameters ended "
        "with exit code 1; what it has printed says why. Nothing was compared.\n"
    )
    assert_nothing_is_left(root)


def start_gate(root: Path) -> "subprocess.Popen[str]":
    """Start a gate whose revision never ends to make the latents, and wait until it makes them."""
    edit(root, RESTORES, f"__import__('time').sleep(300)\n        {RESTORES}")
    commit_all(root)
    edit(root, "__import__('time').sleep(300)\n        ", "")
    with interruptible_children():
        gate = subprocess.Popen(
            [*DOIT, "gate", "HEAD", "denoise"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    assert gate.stdout is not None
    while not gate.stdout.readline().startswith("denoise:"):  # it is being made
        assert gate.poll() is None
    time.sleep(1)  # so that its process works
    return gate


def test_after_ctrl_c_nothing_is_left(root: Path):
    before = artifacts(root)
    gate = start_gate(root)
    os.killpg(gate.pid, signal.SIGINT)
    printed = gate.communicate(timeout=60)[0]
    assert gate.returncode == 1
    assert printed.endswith("interrupted. Nothing was changed, and nothing is left of it.\n")
    assert "Traceback" not in printed
    assert artifacts(root) == before
    assert_nothing_is_left(root)


def test_when_a_gate_is_killed_what_it_runs_ends_too(root: Path):
    gate = start_gate(root)
    gate.kill()
    gate.communicate(timeout=30)  # until the last process has closed what it prints to


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "ParamsError: doit gate: name a git revision: a branch, a tag, a commit or HEAD~1. `doit help gate` says "
            "more.",
        ),
        (["HEAD", "--tolerance", "x"], "ParamsError: doit gate: --tolerance x: must be a number, 0 or more, such as "),
        (["HEAD", "--tolerance=-1"], "ParamsError: doit gate: --tolerance -1: must be a number, 0 or more, such as "),
        (["HEAD", "--tolerance=nan"], "ParamsError: doit gate: --tolerance nan: must be a number, 0 or more, such as "),
        (["nosuch"], "StageError: nosuch: no such revision in "),
        (["HEAD", "nosuch"], "ParamsError: nosuch: no such task. `doit list --all` names all."),
        (["HEAD"], "StageError: decode:"),  # not made here
    ],
)
def test_what_cannot_be_done_is_one_message(built: Path, arguments: list[str], message: str):
    result = doit(built, "gate", *arguments)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
