"""What doit prints of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskFailed

from tests.commands.doit_here import run_doit


def video(folder: Path, **fields: Any) -> dict[str, Any]:
    return {"basename": "demo", "actions": [], "meta": {"video": str(folder / "demo.mp4")}, **fields}


def test_a_video_is_printed_with_its_place(
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


def test_a_failure_is_its_message_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": "encode", "actions": [lambda: TaskFailed("CheckpointError: model: is not there.")]}]
    assert run_doit(tmp_path, tasks, "run") == 1
    assert capsys.readouterr().out == "CheckpointError: model: is not there.\n"


def test_a_failure_in_a_file_can_name_what_is_no_text(tmp_path: Path):
    tasks = [{"basename": "encode", "actions": [lambda: TaskFailed("StoreError: \udcff/猫: is not there.")]}]
    assert run_doit(tmp_path, tasks, "run", "-o", str(tmp_path / "out")) == 1
    assert (tmp_path / "out").read_text(encoding="utf-8") == "StoreError: \\udcff/猫: is not there.\n"


def test_an_error_of_the_graph_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": name, "task_dep": [other], "actions": []} for name, other in (("a", "b"), ("b", "a"))]
    assert run_doit(tmp_path, tasks, "run") != 0
    captured = capsys.readouterr()
    assert "Cyclic" in captured.out + captured.err


def node(stage: str, name: str, videos: tuple[str, ...], *, before: str = "", fails: bool = False) -> dict[str, Any]:
    def act() -> TaskFailed | None:
        return TaskFailed(f"StageError: {stage} of {name}.\n  More.") if fails else None

    return {
        "basename": stage,
        "name": name,
        "actions": [act],
        "task_dep": [before] if before else [],
        "meta": {"videos": videos},
    }


def video_of(name: str, export: str) -> dict[str, Any]:
    return {
        "basename": name,
        "actions": [],
        "task_dep": [export],
        "meta": {"video": f"{name}.mp4", "videos": (name,)},
    }


@pytest.fixture
def three_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """`a` and `b` share an encode; the denoise of `a` fails, and the export of `c`."""
    monkeypatch.chdir(tmp_path)
    return [
        node("encode", "1", ("a", "b")),
        node("encode", "2", ("c",)),
        node("denoise", "1", ("a",), before="encode:1", fails=True),
        node("denoise", "2", ("b",), before="encode:1"),
        node("denoise", "3", ("c",), before="encode:2"),
        node("export", "1", ("a",), before="denoise:1"),
        node("export", "2", ("b",), before="denoise:2"),
        node("export", "3", ("c",), before="denoise:3", fails=True),
        *(video_of(name, f"export:{number}") for number, name in enumerate("abc", 1)),
    ]


FAILURES = ("StageError: denoise of 1.\n  More.\n", "StageError: export of 3.\n  More.\n")


@pytest.mark.parametrize("selection", [[], ["a", "b", "c"]])
def test_with_continue_the_summary_names_what_failed_of_which_video_and_why(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], selection: list[str]
):
    assert run_doit(tmp_path, three_videos, "run", "--continue", *selection) == 1
    assert capsys.readouterr().out == (
        f"{FAILURES[0]}{FAILURES[1]}b: b.mp4\nfailed:\n"
        "  a: denoise:1: StageError: denoise of 1.\n"
        "  c: export:3: StageError: export of 3.\n"
        "When that is fixed, `doit a c` makes what is left.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["run", "denoise.seed=7"], "doit a c denoise.seed=7"),
        (["draft"], "doit draft a c"),
    ],
)
def test_the_command_that_goes_on_asks_for_videos_as_this_run_did(
    tmp_path: Path,
    three_videos: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    command: str,
):
    assert run_doit(tmp_path, three_videos, *arguments, "--continue") == 1
    assert capsys.readouterr().out.endswith(f"When that is fixed, `{command}` makes what is left.\n")


def test_the_summary_does_not_name_a_node_twice(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    three_videos[2]["actions"] = [lambda: TaskFailed("denoise:1: was stopped.\n  More.")]
    assert run_doit(tmp_path, three_videos, "run", "--continue") == 1
    assert "failed:\n  a: denoise:1: was stopped.\n" in capsys.readouterr().out


def test_without_continue_the_summary_names_the_videos_that_were_left(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, three_videos, "run") == 1
    assert capsys.readouterr().out == (
        f"{FAILURES[0]}failed:\n"
        "  a: denoise:1: StageError: denoise of 1.\n"
        "not looked at any more: b, c. `doit --continue` goes on after a failure.\n"
    )


@pytest.mark.parametrize("options", [[], ["--continue"]])
def test_a_failure_of_the_one_video_that_was_asked_for_is_its_message_alone(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], options: list[str]
):
    assert run_doit(tmp_path, three_videos, "run", *options, "a") == 1
    assert capsys.readouterr().out == FAILURES[0]


def test_of_a_stage_the_videos_are_those_of_its_nodes(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, three_videos, "run", "denoise") == 1
    assert capsys.readouterr().out.endswith(
        "not looked at any more: b, c. `doit --continue` goes on after a failure.\n"
    )


def test_where_nothing_failed_there_is_no_summary(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, three_videos, "run", "encode", "b") == 0
    assert capsys.readouterr().out == "b: b.mp4\n"


def test_one_message_of_several_tasks_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = [{"basename": name, "actions": [lambda: TaskFailed("gone")]} for name in ("one", "two")]
    assert run_doit(tmp_path, tasks, "run", "--continue") == 1
    assert capsys.readouterr().out == "gone\n"


@pytest.mark.parametrize(
    ("reporter", "said"),
    [
        ("zero", ""),
        ("error-only", f"{FAILURES[0]}{FAILURES[1]}"),
        (
            "executed-only",
            f"{FAILURES[0]}{FAILURES[1]}failed:\n  a: denoise:1: StageError: denoise of 1.\n"
            "  c: export:3: StageError: export of 3.\nWhen that is fixed, `doit a c` makes what is left.\n",
        ),
    ],
)
def test_other_reporters_say_less(
    tmp_path: Path,
    three_videos: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    reporter: str,
    said: str,
):
    three_videos[-2]["uptodate"] = [True]
    three_videos[-2]["task_dep"] = []
    assert run_doit(tmp_path, three_videos, "run", "--continue", "--reporter", reporter) == 1
    assert capsys.readouterr().out == said


def test_the_reporter_named_console_is_the_usual_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_doit(tmp_path, [{"basename": "encode", "actions": []}], "run", "--reporter", "console") == 0
    assert capsys.readouterr().out == ""


def test_in_json_a_task_that_another_kept_from_running_says_which(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    assert run_doit(tmp_path, three_videos, "run", "--continue", "--reporter", "json") == 1
    results = {task["name"]: task for task in json.loads(capsys.readouterr().out)["tasks"]}
    assert results["export:1"]["error"].strip() == "not made, because this failed: denoise:1"
    assert results["b"]["result"] == "success"


def test_what_is_ignored_is_named_and_what_is_not_made_because_of_it(
    tmp_path: Path, three_videos: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
):
    run_doit(tmp_path, three_videos, "ignore", "denoise:1", "denoise:3")
    capsys.readouterr()
    assert run_doit(tmp_path, three_videos, "run") == 0
    assert capsys.readouterr().out == (
        "denoise:1: ignored, with all that is made from it. `doit forget denoise:1` ends that.\n"
        "denoise:3: ignored, with all that is made from it. `doit forget denoise:3` ends that.\n"
        "a: not made, because export:1 is ignored\n"
        "b: b.mp4\n"
        "c: not made, because export:3 is ignored\n"
    )
