"""A project of one's own, with the package installed from a wheel into an environment of its own.

The wheel is built from a copy of what it is built from, which is gone before anything runs. Libraries are those of this
environment; a hook in each process of the new one notes every file below this repository that it opens.
"""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from stages.new.folder import template_files
from tests.from_file.builders import random_latents
from tests.project import PROJECT, SHAPES, environment
from tests.test_own_stage import BLOCKS, LINE

pytestmark = pytest.mark.processes

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
# sitecustomize.py of the new environment. Its own libraries may lie below the repository, in .venv.
NOTES = f"""
import os, sys

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith({f"{PROJECT}/"!r}) and not path.startswith({sys.prefix!r}):
            with open(os.environ["OPENED"], "a") as file:
                file.write(path + "\\n")

sys.addaudithook(note)
"""


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that succeeds, in a folder, without a PYTHONPATH."""
    own = {name: text for name, text in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=own | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


class Installed:
    """An environment with the package, and processes in it."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        """`folder` is for the environment, and to work in."""
        self.folder = folder
        self.environment = folder / "environment"
        self._opened = folder / "opened"
        run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], folder)
        self.python = str(self.environment / "bin/python")
        run([*PIP, "--python", self.python, "install", "--no-deps", "--no-index", str(wheel)], folder)
        packages = sysconfig.get_path("purelib", vars={"base": str(self.environment)})
        libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        Path(packages, "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
        Path(packages, "sitecustomize.py").write_text(NOTES)

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """What Python with these arguments prints."""
        return run([self.python, *arguments], cwd or self.folder, OPENED=str(self._opened)).stdout

    def doit(self, root: Path, *arguments: str) -> str:
        """What doit prints in a project's folder."""
        return self.run("-m", "doit", *arguments, cwd=root)

    @property
    def opened(self) -> list[str]:
        """The files of this repository that a process has opened."""
        return self._opened.read_text().splitlines() if self._opened.exists() else []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PROJECT / "stages", source / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)], folder)
    shutil.rmtree(source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="module")
def root(installed: Installed) -> Path:
    """A new project, as the command writes it."""
    installed.run("-m", "stages.new", "videos")
    return installed.folder / "videos"


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    ours = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "stages").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {str(path.relative_to(PROJECT)) for path in SHAPES.rglob("*.safetensors")} <= ours
    assert {"stages/py.typed", "stages/new/template/doit.cfg"} <= ours
    assert {name for name in names if ".dist-info/" not in name} == ours


def test_files_of_this_repository_that_are_opened_are_noticed(wheel: Path, tmp_path: Path):
    other = Installed(tmp_path, wheel)
    other.run("-c", f"open({str(PROJECT / 'README.md')!r}).close()")
    assert other.opened == [str(PROJECT / "README.md")]


def test_a_new_project_is_what_the_package_has(root: Path):
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    assert template_files().keys() <= files


def test_there_doit_has_the_projects_commands_and_tasks(installed: Installed, root: Path):
    assert 'demo      to be made: "A red circle moves to the right."' in installed.doit(root, "list").splitlines()
    assert "\n4 to run\n" in installed.doit(root, "explain")
    assert " preflight  " in installed.doit(root, "help")
    assert installed.opened == []


def test_there_a_video_is_made_also_by_a_stage_of_its_own_and_then_nothing_is_left_to_do(
    installed: Installed, root: Path
):
    save_file(dict(random_latents(num_frames=1)), root / "latents.safetensors")
    (root / "params/videos/demo.toml").write_text('[denoise]\nfrom_file = "latents.safetensors"\n')
    (root / "brighten").mkdir()
    for name, text in BLOCKS[:-1]:
        (root / name).write_text(text)
    (root / "pyproject.toml").write_text(LINE)
    made = [line.split(":")[0] for line in installed.doit(root).splitlines() if "  made in " in line]
    assert made == ["denoise", "decode", "brighten", "export"]
    assert (root / "artifacts/videos/demo.mp4").stat().st_size > 0
    assert "  made in " not in installed.doit(root)
    assert installed.opened == []
