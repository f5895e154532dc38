"""`doit du`."""

import json
import re
from pathlib import Path

import pytest

from tests.commands.store_commands import build_project, make, run_command


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path))
    return tmp_path


def test_bytes_stand_by_stage_by_video_and_by_what_else_there_is(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    make(root, denoise_seed="7")
    run_command("pin", "demo", "denoise.seed=7")
    capsys.readouterr()
    assert run_command("du") == 0
    stages, videos, besides = (part.splitlines() for part in capsys.readouterr().out.split("\n\n"))
    assert stages[0].split() == ["stage", "wanted", "pinned", "rest", "unreadable", "artifacts"]
    assert [line.split()[0] for line in stages[1:]] == ["encode", "denoise", "decode", "export", "in"]
    assert stages[3].split() == ["decode", "101", "kB", "101", "kB", "0", "B", "0", "B", "2"]
    assert videos[0].split() == ["video", "its", "own"]
    assert videos[1].startswith("demo ")
    assert besides[-1].startswith("the whole store ")


def test_what_several_videos_need_is_a_line_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]):
    text = (root / "params/videos/demo.toml").read_text()
    (root / "params/videos/slow.toml").write_text(text.replace("fps = 8", "fps = 4"))
    make(root)
    assert run_command("du") == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    assert lines[2] == "slow                           0 B"
    assert re.fullmatch(r"shared by several of them   10\d kB", lines[3])


def test_as_json_it_holds_all(root: Path, capsys: pytest.CaptureFixture[str]):
    make(root)
    assert run_command("du", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["wanted"] == found["videos"]["demo"] > 100_000
    assert found["rest"] == 0


def test_videos_that_cannot_be_read_are_noted(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "params/videos/harbour.toml").write_text("[denoise\n")
    assert run_command("du") == 0
    assert capsys.readouterr().err == (
        "note: what these need is among the rest, because they cannot be read: harbour. `doit list` says why.\n"
    )


@pytest.mark.usefixtures("root")
def test_a_table_without_a_line_has_no_heading(capsys: pytest.CaptureFixture[str]):
    assert run_command("du") == 0
    stages, videos = (part.splitlines() for part in capsys.readouterr().out.split("\n\n"))
    assert stages[-1].startswith("in all ")
    assert videos[-1].split() == ["demo", "0", "B"]
