"""What `doit info` says."""

from pathlib import Path
from typing import Any

import pytest

from tests.commands.doit_here import run_doit


class Answer:
    """Stands where the store's freshness stands: an object that doit asks and prints."""

    def __init__(self, is_fresh: bool) -> None:
        self.is_fresh = is_fresh

    def __call__(self) -> bool:
        return self.is_fresh

    def __repr__(self) -> str:
        return "the store: encode:1 is forgotten"


def test_the_reason_of_the_store_is_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [], "uptodate": [Answer(False)], "targets": [tmp_path / "x"]}]
    assert run_doit(tmp_path, tasks, "info", "encode") == 1  # as doit's own: the task would run
    output = capsys.readouterr().out
    assert "status     : run\n * the store: encode:1 is forgotten\n" in output
    assert f"\ntargets    : \n - {tmp_path / 'x'}\n" in output
    assert "args=" not in output


def test_a_fresh_task_needs_no_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [], "uptodate": [Answer(True)]}]
    assert run_doit(tmp_path, tasks, "info", "encode") == 0
    output = capsys.readouterr().out
    assert "status     : up-to-date" in output
    assert "the store" not in output


def group(*are_fresh: bool) -> list[dict[str, Any]]:
    nodes = [
        {"basename": "encode", "name": str(number), "doc": "for demo", "actions": [], "uptodate": [is_fresh]}
        for number, is_fresh in enumerate(are_fresh)
    ]
    return [{"basename": "encode", "name": None, "doc": "prompt -> embeddings"}, *nodes]


def test_of_a_group_its_tasks_are_named_and_whether_they_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, group(True, False), "info", "encode") == 1
    assert capsys.readouterr().out == (
        "\nencode\n\nprompt -> embeddings\n\ntasks      : \n"
        " - encode:0  for demo: up-to-date\n - encode:1  for demo: run\n"
    )


def test_a_group_of_which_nothing_is_due_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, group(True), "info", "encode") == 0
    assert run_doit(tmp_path, group(False), "info", "--no-status", "encode") == 0
    assert capsys.readouterr().out.endswith("tasks      : \n - encode:0  for demo\n")


def test_of_a_video_that_cannot_be_made_the_whole_reason_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    task = {"basename": "harbour", "actions": [], "meta": {"fault": "ParamsError: one\n  two"}}
    assert run_doit(tmp_path, [task], "info", "harbour") == 1
    assert capsys.readouterr().out == "\nharbour\n\ncannot be made\nParamsError: one\n  two\n"


def test_of_a_group_what_would_be_made_before_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (stage, node), (before,) = group(True), [{"basename": "prompt", "doc": "p", "actions": [], "uptodate": [False]}]
    assert run_doit(tmp_path, [before, stage, {**node, "task_dep": ["prompt"]}], "info", "encode") == 1
    assert capsys.readouterr().out.endswith(
        "tasks      : \n - encode:0  for demo: up-to-date\n\nmade before : \n - prompt  p: run\n"
    )


def test_the_reasons_of_a_video_are_those_of_all_that_it_is_made_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    node = {"basename": "encode", "actions": [], "uptodate": [Answer(False)]}
    video = {"basename": "demo", "actions": [], "uptodate": [True], "task_dep": ["encode"], "meta": {"video": "x"}}
    assert run_doit(tmp_path, [node, video], "info", "demo") == 1
    assert "status     : run\n * the store: encode:1 is forgotten\n" in capsys.readouterr().out
