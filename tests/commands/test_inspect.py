"""`doit inspect`."""

import json
import re
from pathlib import Path

import pytest

from tests.commands.store_commands import run_command
from tests.project import HEAVY, watch_doit
from tests.provenance.videos import build_project, line_of, nodes_of, publish_all, write_mp4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path / "project"))
    return tmp_path / "project"


def test_a_video_says_what_made_it(root: Path, capsys: pytest.CaptureFixture[str]):
    write_mp4(root / "night", line_of(root))
    assert run_command("inspect", "night") == 0
    text = capsys.readouterr().out
    assert text.startswith("night: a video, by its own metadata\nprompt: A red circle moves to the right.\n\nencode  ")
    for stage, node in nodes_of(root).items():
        assert f"\n{stage}  {node.key}\n" in text
        assert all(f"  {identity}\n" in text for identity in node.components.values())
    assert text.count(" (as here)\n") == 4


def test_scripts_read_json(root: Path, capsys: pytest.CaptureFixture[str]):
    write_mp4(root / "night", line_of(root))
    assert run_command("inspect", "night", "--json") == 0
    fields = json.loads(capsys.readouterr().out)
    assert [stage["stage"] for stage in fields["stages"]] == ["encode", "denoise", "decode", "export"]
    assert fields["stages"][1]["parameters"]["seed"] == 42
    assert all(stage["code"] == stage["code_here"] for stage in fields["stages"])


def test_an_artifact_is_shown_by_its_task(root: Path, capsys: pytest.CaptureFixture[str]):
    node = publish_all(root)["decode"]
    assert run_command("inspect", node.title) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{node.title}: frames.safetensors, by the manifests in the store\n")
    assert re.findall(r"^(\w+)  [0-9a-f]{32}$", text, re.MULTILINE) == ["encode", "denoise", "decode"]


def test_nothing_is_changed(root: Path):
    write_mp4(root / "night", line_of(root))
    before = sorted((path, path.lstat().st_mtime_ns) for path in root.rglob("*"))
    assert run_command("inspect", "night") == 0
    assert sorted((path, path.lstat().st_mtime_ns) for path in root.rglob("*")) == before


def test_a_parameter_beside_it_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]):
    write_mp4(root / "night", line_of(root))
    assert run_command("inspect", "night", "denoise.seed=7") == 1
    assert capsys.readouterr().err == (
        "ParamsError: doit inspect: denoise.seed=7: says what was made, and changes nothing. `doit from FILE "
        "denoise.seed=7` writes a video that differs in it.\n"
    )


def test_what_says_nothing_is_one_message(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "night.mp4").write_bytes(b"")
    assert run_command("inspect", "night.mp4") == 1
    assert capsys.readouterr() == ("", "StoreError: night.mp4: is empty.\n")


@pytest.mark.processes
def test_it_loads_nothing_heavy_and_starts_no_process(root: Path):
    (root / "pyproject.toml").write_bytes((Path(__file__).parents[2] / "pyproject.toml").read_bytes())
    write_mp4(root / "night", line_of(root))
    code, started, modules = watch_doit(root, "inspect", "night")
    assert (code, started) == (0, [])
    assert not HEAVY & modules
