"""`doit forget`: which artifacts are un-sealed."""

from pathlib import Path
from typing import Any

import pytest

from tests.commands.doit_here import run_doit
from tests.full_stream import UNPRINTED, FullStream


@pytest.fixture
def tasks(tmp_path: Path) -> list[dict[str, Any]]:
    """Two nodes with artifacts, and a video that needs both."""
    nodes: list[dict[str, Any]] = []
    for stage in ("encode", "decode"):
        folder = tmp_path / stage
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
        nodes.append({"basename": stage, "name": "1", "actions": [], "meta": {"artifact": str(folder)}})
    return [*nodes, {"basename": "demo", "task_dep": ["encode:1", "decode:1"], "actions": []}]


def forgotten(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/manifest.forgotten.json")}


@pytest.mark.parametrize(
    ("arguments", "stages"),
    [
        (["decode"], {"decode"}),
        (["decode:1"], {"decode"}),
        (["demo"], set()),
        (["--follow-sub", "demo"], {"encode", "decode"}),
        (["--all"], {"encode", "decode"}),
        ([], {"encode", "decode"}),
        (["--disable-default"], set()),
    ],
)
def test_the_artifacts_of_the_selected_tasks_are_forgotten(
    tmp_path: Path, tasks: list[dict[str, Any]], arguments: list[str], stages: set[str]
):
    assert run_doit(tmp_path, tasks, "forget", *arguments) == 0
    assert forgotten(tmp_path) == stages


def test_forgetting_twice_says_so_only_once(
    tmp_path: Path, tasks: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    run_doit(tmp_path, tasks, "forget", "decode")
    run_doit(tmp_path, tasks, "forget", "decode")
    assert capsys.readouterr().out == "forgotten: decode:1\nnothing to forget.\n"


def test_an_unknown_name_is_an_error_and_nothing_is_forgotten(
    tmp_path: Path, tasks: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, tasks, "forget", "encode", "nope") == 1
    assert capsys.readouterr().err.startswith("nope: no such task or command.")
    assert forgotten(tmp_path) == set()


def test_of_a_video_it_is_said_how_what_it_is_made_of_is_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "demo", "actions": [], "meta": {"video": "demo.mp4"}}]
    assert run_doit(tmp_path, tasks, "forget", "demo") == 0
    assert capsys.readouterr().out == (
        "nothing to forget. `doit forget --follow-sub demo` forgets all that a video is made of.\n"
    )


def test_of_an_ignored_task_only_that_is_forgotten(
    tmp_path: Path, tasks: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    run_doit(tmp_path, tasks, "ignore", "decode:1")
    capsys.readouterr()
    assert run_doit(tmp_path, tasks, "forget", "decode:1") == 0
    assert capsys.readouterr().out == "no longer ignored: decode:1\n"
    assert forgotten(tmp_path) == set()


def test_of_an_ignored_task_that_is_forgotten_also_before_one_that_cannot_be(
    tmp_path: Path, tasks: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    run_doit(tmp_path, tasks, "ignore", "decode:1")
    (tmp_path / "encode/manifest.forgotten.json").mkdir()
    assert run_doit(tmp_path, tasks, "forget", "decode:1", "encode:1") != 0
    assert "no longer ignored: decode:1\n" in capsys.readouterr().out
    run_doit(tmp_path, tasks, "forget", "decode:1")
    assert capsys.readouterr().out == "forgotten: decode:1\n"


@pytest.mark.parametrize("names", [[], ["harbour"], ["--all"]])
def test_a_video_that_cannot_be_made_fails_after_all_others_are_forgotten(
    tmp_path: Path, tasks: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], names: list[str]
):
    tasks.append({"basename": "harbour", "actions": [], "meta": {"fault": "ParamsError: broken"}})
    assert run_doit(tmp_path, tasks, "forget", *names) == 1
    assert capsys.readouterr().out.endswith("ParamsError: broken\n")
    assert forgotten(tmp_path) == (set() if names == ["harbour"] else {"encode", "decode"})


def test_where_nothing_can_be_printed_it_is_said_what_was_forgotten(
    tmp_path: Path, tasks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", FullStream())
        assert run_doit(tmp_path, tasks, "forget", "encode", "decode") == 1
    assert forgotten(tmp_path) == {"encode", "decode"}
    assert capsys.readouterr().err == f"{UNPRINTED} Done all the same: forgotten: encode:1; forgotten: decode:1.\n"
