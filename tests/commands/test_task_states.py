"""What doit is told about tasks without a database."""

from pathlib import Path
from typing import Any

import pytest
from doit.task import Task

from stages.commands.task_states import TaskStates
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
