"""What doit prints of a run."""

from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from tests.commands.doit_here import run_doit


def video(folder: Path, **fields: Any) -> dict[str, Any]:
    return {"basename": "demo", "actions": [], "meta": {"video": str(folder / "demo.mp4")}, **fields}


def test_a_video_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert run_doit(tmp_path, [video(tmp_path)], "run") == 0
    assert run_doit(tmp_path, [video(tmp_path, uptodate=[True])], "run") == 0
    assert capsys.readouterr().out == "demo: demo.mp4\ndemo: demo.mp4 (up to date)\n"


def test_a_node_is_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": []}, {"basename": "decode", "actions": [], "uptodate": [True]}]
    assert run_doit(tmp_path, tasks, "run") == 0
    assert capsys.readouterr().out == ""


def test_a_failure_is_its_message_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [lambda: TaskFailed("CheckpointError: model: is not there.")]}]
    assert run_doit(tmp_path, tasks, "run") == 1
    assert capsys.readouterr().out == "CheckpointError: model: is not there.\n"


def test_an_error_of_the_graph_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": name, "task_dep": [other], "actions": []} for name, other in (("a", "b"), ("b", "a"))]
    assert run_doit(tmp_path, tasks, "run") != 0
    captured = capsys.readouterr()
    assert "Cyclic" in captured.out + captured.err
