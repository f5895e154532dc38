"""Two clones and one environment: the code that doit runs, and that of the project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.errors import InstallationError
from stages.run.own_code import check_own_code
from tests.project import PROJECT, copy_checkpoint, copy_package, copy_project

pytestmark = pytest.mark.processes

# What the script `doit` in an environment is: the working folder is not where modules are looked for.
DOIT = [sys.executable, "-P", "-m", "doit"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Another clone than this one."""
    root = tmp_path / "clone"
    root.mkdir()
    copy_project(copy_package(root))
    copy_checkpoint(root / "stages/models/builtin/shapes")
    return root


def message(folder: Path) -> str:
    return (
        f"{folder}: has code of its own in stages/, and what runs is {PROJECT}/stages, which the environment of "
        f"{sys.executable} has installed. Run `pip install -e .` in {folder}, in an environment of its own."
    )


def run(clone: Path, *arguments: str, path: str = str(PROJECT)) -> subprocess.CompletedProcess[str]:
    """`doit` of an environment that has installed this clone."""
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([*DOIT, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "command", [[], ["decode"], ["clean"], ["forget", "demo"], ["ignore", "demo"], ["preflight"], ["verify"], ["gc"]]
)
def test_the_code_of_another_clone_makes_and_changes_nothing(clone: Path, command: list[str]):
    result = run(clone, *command)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"InstallationError: {message(clone)}\n")
    assert not (clone / "artifacts").exists()


@pytest.mark.parametrize("command", [["list"], ["info", "demo"]])
def test_what_only_shows_goes_on_with_a_warning(clone: Path, command: list[str]):
    result = run(clone, *command)
    assert result.stderr == f"warning: {message(clone)}\n"
    assert "demo" in result.stdout


def test_the_project_that_is_installed_may_be_reached_by_a_link(clone: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(clone)
    result = run(tmp_path / "link", "clean", path=str(clone))
    assert (result.returncode, result.stderr) == (0, "")


def test_its_own_code_may_be_found_by_the_working_folder(clone: Path):
    result = run(clone, "clean", path=".")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["nothing", "no package", "a file"])
def test_of_a_project_without_a_package_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str):
    if kind == "no package":
        (tmp_path / "stages").mkdir()
    elif kind == "a file":
        (tmp_path / "stages").touch()
    check_own_code(tmp_path)
    assert capsys.readouterr() == ("", "")


def test_of_the_project_itself_nothing_is_said():
    check_own_code(PROJECT)


def test_another_package_is_an_error_that_says_where_both_are(clone: Path):
    with pytest.raises(InstallationError) as error:
        check_own_code(clone)
    assert str(error.value) == message(clone)
