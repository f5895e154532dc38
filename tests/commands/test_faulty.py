"""What is said of tasks of videos that cannot be made."""

from doit.task import Task

from stages.commands.faulty import explain_faults, is_faulty, mention


def task(name: str, fault: str | None = None) -> Task:
    return Task(name, [], meta=None if fault is None else {"fault": fault})


def test_a_task_is_faulty_if_it_has_a_reason():
    assert is_faulty(task("a", "broken"))
    assert not is_faulty(task("a"))


def test_a_reason_that_several_have_is_said_once():
    assert explain_faults([task("a", "one"), task("b"), task("c", "two"), task("d", "one")]) == ["one", "two"]


def test_those_that_nobody_asked_for_are_one_line():
    assert mention([task("a", "one"), task("b", "two")]) == (
        "note: not asked for, and cannot be made: a, b. `doit list` says why."
    )
