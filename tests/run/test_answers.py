"""What doit asks whether a task is up to date."""

import pytest

from stages.errors import ParamsError
from stages.run.answers import Answer, Fault


def test_an_answer_is_asked_anew_each_time_and_prints_as_its_words():
    answers = iter([True, False])
    answer = Answer(lambda: next(answers), lambda: "the store: absent")
    assert [answer(), answer()] == [True, False]
    assert repr(answer) == "the store: absent"


def test_a_fault_is_never_up_to_date_and_prints_as_its_message():
    fault = Fault(ParamsError("broken"))
    assert not fault()
    assert repr(fault) == "ParamsError: broken"


@pytest.mark.parametrize(
    ("message", "line"),
    [("broken", "broken"), ("one\n  two\n  three", "one two three"), ("x" * 200, "x" * 200)],
)
def test_a_fault_is_one_line_and_whole(message: str, line: str):
    assert Fault(ParamsError(message)).line == line
