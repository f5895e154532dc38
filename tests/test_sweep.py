"""A sweep of two tiny videos that share a prompt, from its file to a video that is kept: the real stages."""

import json
from pathlib import Path

import pytest

from tests.project import ALL, TINY, copy_built, copy_project, run_doit, stages_run
from tests.request.sweeps import write_sweep

pytestmark = pytest.mark.processes

SEEDS = "denoise.seed = [1, 2]\n"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project whose sweep has been made, and what doit printed. Tests copy the project."""
    root = copy_project(tmp_path_factory.mktemp("swept"))
    (root / "params/videos/demo.toml").unlink()
    write_sweep(root, SEEDS, text=TINY)
    result = run_doit(root, "harbour")
    assert result.returncode == 0, result.stdout + result.stderr
    return root, result.stdout


@pytest.fixture
def root(first: tuple[Path, str], tmp_path: Path) -> Path:
    return copy_built(first[0], tmp_path / "project")


@pytest.fixture(scope="module")
def second(first: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of it whose sweep has another seed in the middle, made again, and what doit printed."""
    root = copy_built(first[0], tmp_path_factory.mktemp("changed") / "project")
    write_sweep(root, "denoise.seed = [1, 7, 2]\n", text=TINY)
    result = run_doit(root)
    assert result.returncode == 0, result.stdout + result.stderr
    return root, result.stdout


def links(root: Path) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in (root / "artifacts/videos").iterdir()}


def test_its_size_is_said_before_anything_runs_and_what_is_shared_is_made_once(first: tuple[Path, str]):
    _, output = first
    lines = output.splitlines()
    assert lines[0] == "2 videos: 1 encode, 2 denoises, 2 decodes, 2 exports"
    made = [line.partition(":")[0] for line in lines if "  made in " in line]
    assert made == ["encode", *["denoise"] * 2, *["decode"] * 2, *["export"] * 2]
    assert lines[-2:] == [f"harbour-{number}: artifacts/videos/harbour-{number}.mp4" for number in (1, 2)]


def test_another_run_makes_says_and_writes_nothing_of_it(root: Path):
    run_doit(root, "harbour")  # the project was copied, and the store takes note of its files
    before = {path: path.lstat().st_mtime_ns for path in (root / "artifacts").rglob("*")}
    result = run_doit(root, "harbour")
    assert (result.returncode, result.stdout) == (
        0,
        "".join(f"harbour-{number}: artifacts/videos/harbour-{number}.mp4 (up to date)\n" for number in (1, 2)),
    )
    assert {path: path.lstat().st_mtime_ns for path in (root / "artifacts").rglob("*")} == before


def test_a_value_in_the_middle_renames_nothing_and_only_its_video_is_made(second: tuple[Path, str], root: Path):
    changed, output = second
    assert output.splitlines()[0].startswith("1 video: 1 denoise, 1 decode, 1 export, about ")
    before, after = links(root), links(changed)
    assert {name: after[name] for name in before} == before
    assert {*after} - {*before} == {"harbour-3.mp4"}


def test_a_video_with_the_same_prompt_and_another_seed_is_not_encoded_again(second: tuple[Path, str]):
    changed, output = second
    assert [line.partition(":")[0] for line in output.splitlines() if "  made in " in line] == ALL[1:]
    assert stages_run(changed) == []


def test_a_kept_video_shares_all_that_was_made(root: Path):
    before = links(root)
    assert run_doit(root, "keep", "harbour-1", "harbour-2=final").returncode == 0
    assert stages_run(root) == []
    after = links(root)
    assert {name: after[name] for name in before} == before
    assert after["final.mp4"] == before["harbour-2.mp4"]


def test_one_of_it_is_made_by_its_name(root: Path):
    assert stages_run(root, "harbour-2", "export.fps=4") == ["export"]
    assert stages_run(root, "harbour", "export.fps=6", "video=harbour-1") == ["export"]


def test_its_drafts_are_made_beside_it(root: Path):
    before = links(root)
    result = run_doit(root, "draft", "harbour")
    assert result.stdout.splitlines()[0].startswith("2 drafts: 2 denoises, 2 decodes, 2 exports, about ")
    after = links(root)
    assert {name: after[name] for name in before} == before
    assert {*after} - {*before} == {"harbour-1.draft.mp4", "harbour-2.draft.mp4"}
    manifests = (root / "artifacts/videos" / after["harbour-1.draft.mp4"]).with_name("manifest.json")
    assert json.loads(manifests.read_text())["stage"] == ALL[-1]
