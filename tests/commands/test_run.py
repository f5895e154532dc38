"""The order of a run, and what is said when it cannot go on."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from stages.commands.invocation import Invocation, current_invocation
from stages.keys import Node
from stages.run.screen import Screen, SilentScreen
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


def test_without_dependencies_a_stage_is_its_tasks_and_these_are_looked_at_before(tmp_path: Path):
    made: list[str] = []
    asked: list[Sequence[str]] = []

    def ask(names: Sequence[str], _typed: Sequence[str]) -> tuple[Mapping[str, str], Sequence[str]]:
        asked.append(names)
        return {}, names

    assert run_doit(tmp_path, two_videos(made), "run", "--single", "decode", at_start=ask) == 0
    assert asked == [["decode:a", "decode:b"]]
    assert made == ["decode:a", "decode:b"]


def test_without_dependencies_all_that_is_named_is_made(tmp_path: Path):
    made: list[str] = []
    assert run_doit(tmp_path, two_videos(made), "run", "--single", "export:b", "decode:a") == 0
    assert made == ["decode:a", "export:b"]


def test_without_dependencies_other_videos_are_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [
        {"basename": "decode", "name": video, "actions": [fail], "meta": {"videos": (video,)}} for video in ("a", "b")
    ]
    videos = [
        {"basename": video, "actions": [], "task_dep": [f"decode:{video}"], "meta": {"video": "v", "videos": (video,)}}
        for video in ("a", "b")
    ]
    assert run_doit(tmp_path, [*tasks, *videos], "run", "--single", "decode:a") == 1
    assert capsys.readouterr().out == "broken\n"


def test_tasks_that_are_not_left_before_a_run_are_not_run(tmp_path: Path):
    made: list[str] = []

    def refuse_a(names: Sequence[str], _typed: Sequence[str]) -> tuple[Mapping[str, str], Sequence[str]]:
        return {"a": "CheckpointError: a is broken"}, [name for name in names if not name.endswith("a")]

    *tasks, a, b = two_videos(made)
    assert run_doit(tmp_path, [*tasks, {**a, "meta": {"videos": ("a",)}}, b], "run", at_start=refuse_a) == 1
    assert made == ["encode:b", "decode:b", "export:b"]


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


def test_a_fault_of_an_action_is_exit_code_1_as_any_other(tmp_path: Path):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": [(lambda: 1 / 0,)]}], "run") == 1


def test_a_file_for_output_that_cannot_be_written_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], "run", "-o", str(tmp_path / "no" / "file")) == 1
    assert capsys.readouterr() == ("", f"{tmp_path}/no/file: No such file or directory. Fix that and run it again.\n")


@pytest.mark.parametrize("action", [lambda: None, fail, interrupt])
@pytest.mark.parametrize("threads", [[], ["-n", "2"]])
def test_however_a_run_ends_its_processes_are_ended(tmp_path: Path, action: Callable[[], Any], threads: list[str]):
    ended: list[str] = []
    tasks = [{"basename": "encode", "actions": [action]}]
    run_doit(tmp_path, tasks, "run", *threads, at_end=lambda: ended.append("once"))
    assert ended == ["once"]


def sound_and_faulty(made: list[str]) -> list[Mapping[str, Any]]:
    """A stage with a node, its video, and two videos that cannot be made."""

    def make(name: str) -> None:
        made.append(name)

    faulty = [
        {
            "basename": name,
            "doc": "cannot be made",
            "actions": [lambda name=name: TaskFailed(f"ParamsError: {name} is broken")],
            "meta": {"fault": f"ParamsError: {name} is broken", "videos": (name,)},
        }
        for name in ("harbour", "city")
    ]
    return [
        *faulty,  # the order of the list does not count
        {"basename": "encode", "name": None},
        {"basename": "encode", "name": "1", "actions": [(make, ["encode"])], "meta": {"videos": ("demo",)}},
        {
            "basename": "demo",
            "actions": [(make, ["demo"])],
            "task_dep": ["encode:1"],
            "meta": {"video": "demo.mp4", "videos": ("demo",)},
        },
    ]


@pytest.mark.parametrize("threads", [[], ["-n", "2"]])
@pytest.mark.parametrize(
    ("selection", "made", "broken"),
    [
        ([], ["encode", "demo"], ["harbour", "city"]),
        (["encode"], ["encode"], ["harbour", "city"]),  # a stage is that of all videos
        (["harbour"], [], ["harbour"]),
        (["harbour", "demo"], ["encode", "demo"], ["harbour"]),
        (["--single", "harbour", "city"], [], ["harbour", "city"]),
        (["--single", "harbour", "demo"], ["demo"], ["harbour"]),
    ],
)
def test_videos_that_cannot_be_made_fail_after_all_else_is_made(  # noqa: PLR0917 (pytest passes them by name)
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    threads: list[str],
    selection: list[str],
    made: list[str],
    broken: list[str],
):
    done: list[str] = []
    assert run_doit(tmp_path, sound_and_faulty(done), "run", *threads, *selection) == 1
    assert done == made
    said = [*(["demo: demo.mp4"] if "demo" in made else []), *(f"ParamsError: {name} is broken" for name in broken)]
    assert capsys.readouterr() == ("".join(f"{line}\n" for line in said), "")


def test_a_video_that_nobody_asked_for_fails_nothing_and_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    done: list[str] = []
    assert run_doit(tmp_path, sound_and_faulty(done), "run", "demo") == 0
    assert done == ["encode", "demo"]
    assert capsys.readouterr() == (
        "demo: demo.mp4\n",
        "note: not asked for, and cannot be made: harbour, city. `doit list` says why.\n",
    )


def test_a_video_that_cannot_be_made_can_be_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_doit(tmp_path, sound_and_faulty([]), "ignore", "harbour", "city")
    capsys.readouterr()
    assert run_doit(tmp_path, sound_and_faulty([]), "run") == 0
    assert capsys.readouterr().out.count(": ignored, with all that is made from it. `doit forget ") == 2


def test_what_is_made_from_what_is_ignored_is_not_looked_at_before_a_run(tmp_path: Path):
    asked: list[Sequence[str]] = []

    def ask(names: Sequence[str], _typed: Sequence[str]) -> tuple[Mapping[str, str], Sequence[str]]:
        asked.append(names)
        return {}, names

    run_doit(tmp_path, two_videos([]), "ignore", "decode:a")
    run_doit(tmp_path, two_videos([]), "run", at_start=ask)
    assert [name for name in asked[0] if ":" in name] == ["encode:a", "encode:b", "decode:b", "export:b"]
    assert "b" in asked[0]
    assert "a" not in asked[0]


def test_in_json_a_video_that_cannot_be_made_is_a_failed_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, sound_and_faulty([]), "run", "--reporter", "json") == 1
    results = {task["name"]: task for task in json.loads(capsys.readouterr().out)["tasks"]}
    assert (results["demo"]["result"], results["harbour"]["result"]) == ("success", "fail")
    assert results["harbour"]["error"].strip() == "ParamsError: harbour is broken"


def test_after_ctrl_c_videos_that_cannot_be_made_are_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [*sound_and_faulty([]), {"basename": "decode", "actions": [interrupt]}]
    assert run_doit(tmp_path, tasks, "run") == 1
    assert "broken" not in capsys.readouterr().out


def test_in_json_what_was_interrupted_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [interrupt]}]
    assert run_doit(tmp_path, tasks, "run", "--reporter", "json") == 1
    output, error = capsys.readouterr()
    assert [task["result"] for task in json.loads(output)["tasks"]] == ["interrupted"]
    assert error == "interrupted. Nothing was in the middle of being made. `doit` goes on from here.\n"


@pytest.mark.parametrize(
    ("options", "is_always", "is_silent"),
    [
        ([], False, False),
        (["-a"], True, False),
        (["-v", "0"], False, True),
        (["-v", "1"], False, True),
        (["-v", "2"], False, False),
        (["--reporter", "zero"], False, True),
        (["--reporter", "error-only"], False, True),
        (["--reporter", "executed-only"], False, False),
    ],
)
def test_what_options_ask_for_reaches_dodo_py(tmp_path: Path, options: list[str], is_always: bool, is_silent: bool):
    seen: list[Invocation] = []
    task = {"basename": "encode", "actions": [], "uptodate": [lambda: seen.append(current_invocation())]}
    assert run_doit(tmp_path, [task], "run", *options) == 0
    assert [(each.is_always, isinstance(each.screen, SilentScreen)) for each in seen] == [(is_always, is_silent)]


@pytest.mark.parametrize("reporter", ["console", "json"])
def test_running_nodes_are_shown_in_the_file_for_output_unless_it_is_json(tmp_path: Path, reporter: str):
    node = Node("denoise", {"seed": 1}, {}, {})
    screens: list[Screen] = []

    def show() -> None:
        with screens[0].show(node, ("demo",), "absent"):
            pass

    def keep() -> None:
        screens.append(current_invocation().screen)

    file = tmp_path / "log"
    task = {"basename": "encode", "actions": [show], "uptodate": [keep]}
    assert run_doit(tmp_path, [task], "run", "--reporter", reporter, "-o", str(file)) == 0
    line = f"{node.title}  demo  (absent)\n"
    text = file.read_text()
    assert (json.loads(text)["out"] if reporter == "json" else text) == line
