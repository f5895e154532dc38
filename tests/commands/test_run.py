"""The order of a run, and what is said when it cannot go on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from tests.commands.doit_here import run_doit

STAGES = ("encode", "decode", "export")


def two_videos(made: list[str]) -> list[Mapping[str, Any]]:
    """Tasks like the project's: a chain of nodes per video, listed stage by stage, and the videos after them."""

    def make(name: str) -> None:
        made.append(name)

    tasks: list[Mapping[str, Any]] = []
    for place, stage in enumerate(STAGES):
        tasks.append({"basename": stage, "name": None})
        for video in ("a", "b"):
            before = [f"{STAGES[place - 1]}:{video}"] if place else []
            action = (make, [f"{stage}:{video}"])
            tasks.append({"basename": stage, "name": video, "task_dep": before, "actions": [action]})
    return [*tasks, *({"basename": video, "task_dep": [f"export:{video}"], "actions": []} for video in ("a", "b"))]


@pytest.mark.parametrize("selection", [["a", "b"], ["b", "a"], ["export:*"], ["export"], []])
@pytest.mark.parametrize("threads", [[], ["-n", "2"]])
def test_several_videos_are_made_stage_by_stage(tmp_path: Path, selection: list[str], threads: list[str]):
    made: list[str] = []
    code = run_doit(tmp_path, two_videos(made), "run", *threads, *selection)
    assert code == 0
    if not threads:  # otherwise a thread may be a stage ahead, and wait for the device in worker.py
        assert [name.split(":")[0] for name in made] == ["encode"] * 2 + ["decode"] * 2 + ["export"] * 2
    assert sorted(made) == sorted(f"{stage}:{video}" for stage in STAGES for video in "ab")


def test_only_what_a_selected_video_needs_is_made(tmp_path: Path):
    made: list[str] = []
    assert run_doit(tmp_path, two_videos(made), "run", "b") == 0
    assert made == ["encode:b", "decode:b", "export:b"]


def test_without_dependencies_only_what_is_selected_is_made(tmp_path: Path):
    made: list[str] = []
    assert run_doit(tmp_path, two_videos(made), "run", "--single", "decode:a") == 0
    assert made == ["decode:a"]


def test_an_unknown_name_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    made: list[str] = []
    assert run_doit(tmp_path, two_videos(made), "run", "exprot") == 1
    assert capsys.readouterr().err == (
        "exprot: no such task or command. Did you mean `export`? See `doit list` and `doit help`.\n"
    )
    assert made == []


def fail() -> TaskFailed:
    return TaskFailed("broken")


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("action", [lambda: None, fail, interrupt])
@pytest.mark.parametrize("threads", [[], ["-n", "2"]])
def test_however_a_run_ends_its_processes_are_ended(tmp_path: Path, action: Callable[[], Any], threads: list[str]):
    ended: list[str] = []
    tasks = [{"basename": "encode", "actions": [action]}]
    run_doit(tmp_path, tasks, "run", *threads, at_end=lambda: ended.append("once"))
    assert ended == ["once"]
