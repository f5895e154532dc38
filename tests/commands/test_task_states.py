"""What doit is told about tasks without a database."""

from pathlib import Path
from typing import Any

import pytest
from doit.task import Task

from stages.commands.task_states import ShownStates, TaskStates
from stages.store.ignored_tasks import IgnoredTasks
from tests.commands.doit_here import run_doit


def states_in(folder: Path) -> TaskStates:
    return TaskStates({"ignored": IgnoredTasks(folder)})


def status_of(task: Task, *, get_log: bool = False) -> Any:
    return states_in(Path()).get_status(task, {}, get_log)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([True], "up-to-date"),
        ([lambda: True, True], "up-to-date"),
        ([lambda: False], "run"),
        ([True, False], "run"),
        ([], "run"),
        (["true"], "run"),  # doit would ask a shell
    ],
)
def test_a_task_is_up_to_date_when_its_answers_say_so(answers: list[Any], status: str):
    assert status_of(Task("encode", [], uptodate=answers)).status == status


def test_files_of_a_task_are_not_looked_at(tmp_path: Path):
    task = Task("encode", [], uptodate=[True], file_dep=[tmp_path / "gone"], targets=[tmp_path / "gone too"])
    assert status_of(task).status == "up-to-date"


def test_after_one_answer_that_is_no_others_are_asked_only_for_the_reasons():
    asked: list[int] = []
    task = Task("encode", [], uptodate=[lambda: False, lambda: asked.append(1)])
    assert status_of(task).reasons == {}
    assert asked == []
    assert len(status_of(task, get_log=True).reasons["uptodate_false"]) == 2


def test_what_is_ignored_counts_when_the_states_are_closed(tmp_path: Path):
    states, task = states_in(tmp_path), Task("encode", [])
    states.ignore(task)
    assert not states_in(tmp_path).status_is_ignore(task)
    states.close()
    assert states_in(tmp_path).status_is_ignore(task)
    states = states_in(tmp_path)
    states.remove("encode")
    assert states_in(tmp_path).status_is_ignore(task)
    states.close()
    assert not states_in(tmp_path).status_is_ignore(task)


@pytest.mark.parametrize("action", [lambda: None, lambda: False])
def test_a_task_that_has_run_leaves_nothing_behind(tmp_path: Path, action: Any):
    task = {"basename": "encode", "actions": [action]}
    run_doit(tmp_path, [task], "run")
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_fails_stays_ignored_or_not_as_it_was(tmp_path: Path):
    tasks = [{"basename": "encode", "actions": [lambda: False]}, {"basename": "demo", "actions": []}]
    run_doit(tmp_path, tasks, "ignore", "demo")
    run_doit(tmp_path, tasks, "run")
    assert IgnoredTasks(tmp_path).read() == {"demo"}


def chain(**are_fresh: bool) -> dict[str, Task]:
    """A stage of two artifacts, each with what it is made from, and a video of the second one."""
    first, second = are_fresh.get("encode", True), are_fresh.get("denoise", True)
    return {
        "encode:1": Task("encode:1", [], uptodate=[first]),
        "denoise:1": Task("denoise:1", [], uptodate=[True]),
        "denoise:2": Task("denoise:2", [], uptodate=[second], task_dep=["encode:1"]),
        "denoise": Task("denoise", [], uptodate=[True], task_dep=["denoise:1", "denoise:2"], has_subtask=True),
        "demo": Task("demo", [], uptodate=[True], task_dep=["denoise:2"], meta={"video": "demo.mp4"}),
    }


@pytest.mark.parametrize("name", ["denoise", "demo"])
@pytest.mark.parametrize(
    ("are_fresh", "due"),
    [
        ({}, []),
        ({"denoise": False}, ["denoise:2"]),
        ({"encode": False}, ["encode:1"]),
        ({"encode": False, "denoise": False}, ["encode:1", "denoise:2"]),
    ],
)
def test_a_stage_and_a_video_are_shown_as_up_to_date_only_if_all_that_they_are_made_from_is(
    tmp_path: Path, name: str, are_fresh: dict[str, bool], due: list[str]
):
    tasks, states = chain(**are_fresh), ShownStates({"ignored": IgnoredTasks(tmp_path)})
    status = states.get_status(tasks[name], tasks, get_log=True)
    assert (status.status, len(status.reasons["uptodate_false"])) == ("run" if due else "up-to-date", len(due))
    assert [task.name for task in states.find_due(tasks[name], tasks)] == due


def test_a_single_artifact_is_shown_as_it_is_by_itself(tmp_path: Path):
    tasks, states = chain(encode=False), ShownStates({"ignored": IgnoredTasks(tmp_path)})
    assert states.get_status(tasks["denoise:2"], tasks).status == "up-to-date"


def test_what_is_ignored_makes_no_stage_due(tmp_path: Path):
    IgnoredTasks(tmp_path).change(add={"encode:1"}, remove=set())
    tasks, states = chain(encode=False), ShownStates({"ignored": IgnoredTasks(tmp_path)})
    assert states.get_status(tasks["denoise"], tasks).status == "up-to-date"


def test_a_run_asks_a_stage_and_a_video_only_for_themselves(tmp_path: Path):
    tasks = chain(encode=False)
    assert states_in(tmp_path).get_status(tasks["demo"], tasks).status == "up-to-date"
