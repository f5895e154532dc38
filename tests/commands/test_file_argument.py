"""The one thing that a command is about."""

from pathlib import Path

import pytest

from tests.commands.store_commands import run_command
from tests.provenance.videos import build_project, line_of, write_mp4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(build_project(tmp_path / "project"))
    return tmp_path / "project"


@pytest.mark.parametrize("name", ["clip.webm", "a=b.mp4", "denoise.seed=7.mp4"])
def test_a_file_whose_name_looks_like_a_parameter_is_a_file(root: Path, name: str, capsys: pytest.CaptureFixture[str]):
    write_mp4(root / name, line_of(root))
    assert run_command("inspect", name) == 0
    assert capsys.readouterr().out.startswith(f"{name}: a video, by its own metadata\n")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("command", "number"), [(["inspect"], 0), (["inspect", "a", "b"], 2), (["from"], 0)])
def test_not_one_thing_is_an_error(command: list[str], number: int, capsys: pytest.CaptureFixture[str]):
    assert run_command(*command) == 1
    assert capsys.readouterr().err == (
        f"ParamsError: doit {command[0]}: takes one file, artifact or video, and not {number}. "
        f"`doit help {command[0]}` says more.\n"
    )


def test_a_parameter_without_a_value_behind_a_file_is_named(root: Path, capsys: pytest.CaptureFixture[str]):
    write_mp4(root / "clip.webm", line_of(root))
    assert run_command("from", "clip.webm", "denoise.seed") == 1
    assert capsys.readouterr().err == (
        "denoise.seed: a parameter without a value. Write `denoise.seed=VALUE`, without spaces around `=`.\n"
    )
