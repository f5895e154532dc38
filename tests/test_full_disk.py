"""On a disk without a free byte: what needs no room works, `doit clean` makes room, and the rest says so at once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.run.loading import load_build
from tests.builders import files_below, publish
from tests.mounts import fill, mounted, mounted_ext4, use_up_inodes
from tests.project import copy_project, list_made, run_doit, set_defaults

pytestmark = pytest.mark.processes


@pytest.fixture(params=["ext4 without bytes", "tmpfs without inodes"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A project whose `demo` has been made, and whose store is on a file system that is full."""
    root = copy_project(tmp_path)
    set_defaults(root, "machine", artifacts=str(tmp_path / "disk/artifacts"))
    if request.param == "ext4 without bytes":
        disk = mounted_ext4(tmp_path / "disk", tmp_path / "image", 2**22)
    else:
        disk = mounted(tmp_path / "disk", "size=4m,nr_inodes=200")
    with disk as folder:
        build = load_build(root, {})
        for node in build.graph.videos["demo"].values():
            publish(build.store, node, bytes(2**16), code=build.code[build.program_of(node).package])
        assert run_doit(root).returncode == 0  # the link
        fill(folder) if request.param == "ext4 without bytes" else use_up_inodes(folder)
        yield root


def test_a_run_with_nothing_to_do_writes_nothing_and_works(root: Path):
    before = files_below(root / "disk/artifacts")
    result = run_doit(root)
    assert (result.returncode, result.stdout) == (0, "demo: disk/artifacts/videos/demo.mp4 (up to date)\n")
    assert run_doit(root, "-n", "4", "demo").returncode == 0
    assert files_below(root / "disk/artifacts") == before


def test_forget_and_list_work(root: Path):
    result = run_doit(root, "forget", "export")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("forgotten: export:")
    assert "R export:" in run_doit(root, "list", "--all", "--status").stdout


def test_what_is_to_be_made_is_refused_before_anything_runs(root: Path):
    result = run_doit(root, "export.fps=7")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"StoreError: {root}/disk/artifacts")
    assert "No space left on device" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (root / "disk/artifacts/logs").exists()


def test_clean_makes_room(root: Path):
    result = run_doit(root, "clean")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split(":")[1] for line in result.stdout.splitlines() if "mp4" not in line] == [
        " export",
        " decode",
        " denoise",
        " encode",
    ]
    assert [*root.glob("disk/artifacts/*/*")] == []
    build = load_build(root, {})
    publish(build.store, build.graph.videos["demo"]["encode"])  # there is room again


def test_a_run_that_was_found_to_have_room_keeps_it_from_its_compiled_programs(built: Path, tmp_path: Path):
    """Decode's artifact takes 0.5 MiB, and so does its program; 0.9 MiB are free."""
    root = copy_project(tmp_path)
    with mounted(root / "artifacts", "size=1536k"):
        for stage in ("encode", "denoise"):
            shutil.copytree(built / "artifacts" / stage, root / "artifacts" / stage)
        result = run_doit(root, "decode")
        assert result.returncode == 0, result.stderr
        assert [line.split(":")[0] for line in list_made(result)] == ["decode"]
        assert "is not kept, so that the room stays for artifacts" in result.stdout + result.stderr
        assert len([*root.glob("artifacts/decode/*/frames.safetensors")]) == 1
