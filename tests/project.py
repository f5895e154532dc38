"""A project as a user has it, in a folder of its own, and doit in it.

What doit prints is read here alone. Pieces of a checkpoint with random weights are in the builders of the rooms.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.warm_doit import warm_doit

PROJECT = Path(__file__).parent.parent
SHAPES = PROJECT / "stages/models/builtin/shapes"
ALL = ["encode", "denoise", "decode", "export"]
HEAVY = {
    "numpy",
    "jax",
    "torch",
    "torchax",
    "diffusers",
    "transformers",
    "safetensors",
    "av",
    "ml_dtypes",
    "libtpu",
    "ray",
}
# The default video with a third of its length, to save time.
DEMO = (
    (PROJECT / "params/videos/demo.toml")
    .read_text(encoding="utf-8")
    .replace("num_frames = 25", "num_frames = 9")
    .replace("fps = 12", "fps = 8")
)
TINY = """\
[encode]
prompt = "A red circle."
dtype = "float32"

[denoise]
num_frames = 1
height = 32
width = 32
num_inference_steps = 2
dtype = "float32"

[decode]
dtype = "float32"

[export]
fps = 8
"""  # a video that the real stages make in a moment

# `-m`: the package in the working folder goes before the installed one
DOIT = [sys.executable, "-m", "doit"]


def copy_params(root: Path) -> Path:
    """The shipped parameter files and the default video, `DEMO`, in the folder `root`."""
    shutil.copytree(PROJECT / "params", root / "params")
    (root / "params/videos/demo.toml").write_text(DEMO, encoding="utf-8")
    return root


def set_defaults(root: Path, table: str, **values: str) -> None:
    """Give parameters that stand in `params/<table>.toml` other values."""
    path = root / "params" / f"{table}.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text, number = re.subn(rf"^{name} = .*$", f"{name} = {json.dumps(value)}", text, flags=re.MULTILINE)
        assert number == 1, f"{path} holds {name} {number} times"
    path.write_text(text, encoding="utf-8")


def copy_project(root: Path) -> Path:
    """Tasks and parameters; the package is the installed one."""
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, root / name)
    return copy_params(root)


def copy_package(root: Path, *, with_compiled: bool = False) -> Path:
    """The package with its settings, without the built-in checkpoint.

    `with_compiled`: with what Python has compiled of it, which counts until a file is edited, and saves a second.
    """
    left_out = ["builtin"] if with_compiled else ["builtin", "__pycache__"]
    shutil.copy(PROJECT / "pyproject.toml", root / "pyproject.toml")
    shutil.copytree(PROJECT / "stages", root / "stages", ignore=shutil.ignore_patterns(*left_out))
    return root


def copy_checkpoint(folder: Path, *components: str) -> Path:
    """The built-in checkpoint, or these components of it, in a new folder."""
    if not components:
        return Path(shutil.copytree(SHAPES, folder))
    for component in components:
        shutil.copytree(SHAPES / component, folder / component)
    return folder


def copy_built(built: Path, root: Path) -> Path:
    """A copy of a project in which videos have been made, with the times of its files; `root` is new."""
    return Path(shutil.copytree(built, root, symlinks=True))


def run_doit(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """How `doit` with these arguments ended in a project's folder."""
    if warm_doit().can_run(root, environment()):
        return warm_doit().run(root, arguments)
    return subprocess.run([*DOIT, *arguments], cwd=root, env=environment(), capture_output=True, text=True, check=False)


def environment() -> dict[str, str]:
    """This process's variables as Python knows them: libtpu, once a test has loaded it, sets others for children."""
    return dict(os.environ)


def list_made(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of a run of doit that say what was made, in order."""
    return [line for line in result.stdout.splitlines() if "  made in " in line]


def stages_run(root: Path, *arguments: str) -> list[str]:
    """Stages that made an artifact in one run of doit, in order; the run must succeed."""
    result = run_doit(root, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return [line.split(":")[0] for line in list_made(result)]


_WATCHED = """
import json, sys
started = []
def note(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"):
        started.append(event)
sys.addaudithook(note)
from doit.doit_cmd import DoitMain
code = DoitMain().run(sys.argv[1:])
print()
print(json.dumps([code, started, sorted(sys.modules)]))
"""


def watch_doit(root: Path, *arguments: str) -> tuple[int, list[str], set[str]]:
    """A run of doit that succeeds: its exit code, how it started processes, and the modules that it loaded."""
    command = [sys.executable, "-c", _WATCHED, *arguments]
    result = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=True)
    code, started, modules = json.loads(result.stdout.splitlines()[-1])
    assert "doit" in modules
    return code, started, set(modules)
