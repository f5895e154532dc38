"""Commands that only read work on a store that cannot be written; the others say so before they begin."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from stages.pipeline.stages import Pipeline
from stages.preflight.questions import ask, describe_target
from stages.request.params import load_params
from stages.run.loading import load_build
from tests.builders import files_below, publish
from tests.mounts import mounted
from tests.preflight_builders import build_figures, publish_answer
from tests.project import DOIT, copy_project, environment
from tests.warm_doit import WarmDoit

SLICE = "v5e:2x4"


def obeying_permissions() -> list[str]:
    """What stands before a command so that permissions hold for it, for root as well."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may write anywhere, and there is no setpriv by which a process gives that up")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


def run(root: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [*obeying_permissions(), *command]
    return subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)


@cache
def obedient_doit() -> WarmDoit:
    return WarmDoit(obeying_permissions())


def doit(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if obedient_doit().can_run(root, environment()):
        return obedient_doit().run(root, arguments)
    return run(root, [*DOIT, *arguments])


def forbid_writing(folder: Path, *, forbid: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222 if forbid else path.stat().st_mode | 0o200)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with all artifacts of its video and with answers of preflight, which nobody may change."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    build = load_build(root, {})
    for node in build.graph.videos["demo"].values():
        publish(build.store, node, code=build.code[build.program_of(node).package])
    params = load_params(root, {}, Pipeline())
    for question in ask(params.videos["demo"], root, describe_target(SLICE, params.machine), mesh=params.machine.mesh):
        publish_answer(root, question, build_figures())
    assert doit(root).returncode == 0  # makes the link
    forbid_writing(root / "artifacts", forbid=True)
    if run(root, ["touch", "artifacts/new"]).returncode == 0:
        pytest.skip("permissions do not hold on this file system")
    yield root
    forbid_writing(root / "artifacts", forbid=False)


@pytest.fixture(autouse=True)
def unchanged(root: Path) -> Iterator[None]:
    """No test changes the store."""
    before = files_below(root / "artifacts")
    yield
    assert files_below(root / "artifacts") == before


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ([], "demo: artifacts/videos/demo.mp4 (up to date)\n"),
        (["-n", "4", "demo"], "demo: artifacts/videos/demo.mp4 (up to date)\n"),
        (["list"], 'up to date: "A red circle moves to the right."\n'),
        (["list", "--all", "--status"], "U export:"),
        (["info", "demo"], "status     : up-to-date"),
        (["help", "demo"], "the video of params/videos/demo.toml"),
        (["dumpdb"], "nothing is ignored"),
        (["tabcompletion", "--hardcode-tasks"], "demo"),
        (["verify"], "4 artifacts whole: "),
        (["verify", "--all"], "6 artifacts whole: "),
        (["du"], "the whole store"),
        (["explain"], "up to date: demo\nnothing to run\n"),
        (["timings"], "nothing has been made yet, as far as the store says.\n"),
        (["pins"], "nothing is pinned."),
        (["gc", "--dry-run", "--keep", "0"], "wanted, pinned or in use, 0 B of the rest."),
    ],
)
def test_what_only_reads_says_what_it_always_says(root: Path, command: list[str], part: str):
    done = doit(root, *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert part in done.stdout


def test_verify_names_what_is_damaged_and_what_it_could_not_mark(root: Path, tmp_path: Path):
    copy = Path(shutil.copytree(root, tmp_path / "copy", symlinks=True))
    forbid_writing(copy / "artifacts", forbid=False)
    (video,) = copy.glob("artifacts/export/*/video.mp4")
    video.write_bytes(video.read_bytes()[::-1])
    forbid_writing(copy / "artifacts", forbid=True)
    before = files_below(copy / "artifacts")
    done = doit(copy, "verify")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{video}: xxh3 is " in done.stdout
    assert done.stdout.splitlines()[0].endswith(". It could not be marked (Permission denied).")
    assert files_below(copy / "artifacts") == before
    forbid_writing(copy / "artifacts", forbid=False)


def test_rebuild_says_that_it_needs_room_in_the_store(root: Path):
    done = doit(root, "verify", "--rebuild", "export")
    assert done.returncode == 1
    assert "cannot be written (Permission denied)" in done.stderr


def test_preflight_prints_the_answers_that_are_there(root: Path):
    if find_spec("libtpu") is None:  # not by importing it: that sets a variable, of which the question is made
        pytest.skip("libtpu is not installed")
    done = doit(root, "preflight", "--topology", SLICE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "denoise of demo sends" in done.stdout


def test_preflight_says_of_the_others_why_there_is_no_answer(root: Path):
    done = doit(root, "preflight", "demo", "denoise.num_frames=13", "decode.decoder=diffusers")
    assert done.returncode == 1
    assert "its process cannot be started ([Errno 13] Permission denied" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", [["clean"], ["forget"], ["ignore", "demo"]])
def test_what_writes_is_one_message_before_anything_is_done(root: Path, command: list[str]):
    done = doit(root, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"StoreError: {root / 'artifacts'}: cannot be written (Permission denied). Fix its permissions, or set "
        "`artifacts` in params/machine.toml to another folder.\n"
    )


@pytest.mark.parametrize("command", [["export.fps=7"], ["run", "demo", "denoise.seed=7"], ["-a"]])
def test_what_would_make_something_is_one_message_before_anything_runs(root: Path, command: list[str]):
    done = doit(root, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"StoreError: {root / 'artifacts'}: cannot be written (Permission denied). Fix its permissions, or set "
        "`artifacts` in params/machine.toml to another folder.\n"
    )


@pytest.mark.parametrize("command", [["pin", "demo"], ["gc"]])
def test_a_command_on_the_store_that_cannot_write_it_is_one_message(root: Path, command: list[str]):
    done = doit(root, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"StoreError: {root / 'artifacts'}: cannot be written (Permission denied). Fix its permissions, or set "
        "`artifacts` in params/machine.toml to another folder.\n"
    )


def test_where_there_is_no_store_and_none_can_be_made_tasks_are_listed(root: Path, tmp_path: Path):
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / "params", tmp_path / "params")
    with mounted(tmp_path / "disk", "ro"):
        done = doit(tmp_path, "list", "--all", "--status", f"machine.artifacts={tmp_path}/disk/artifacts")
    assert (done.returncode, done.stderr) == (0, "")
    assert "R export:" in done.stdout


def test_what_is_in_place_of_the_store_is_said_to_be_there_and_stays(root: Path, tmp_path: Path):
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / "params", tmp_path / "params")
    (tmp_path / "artifacts").write_text("in its place")
    done = doit(tmp_path, "list", "--all", "--status")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"StoreError: {tmp_path}/artifacts: is a file, and not a folder. Move it away, or set `artifacts` in "
        "params/machine.toml to another folder.\n"
    )
    assert (tmp_path / "artifacts").read_text() == "in its place"
