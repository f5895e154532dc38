"""What has been answered, and what has failed, is not asked for again."""

import functools

import pytest

from stages.errors import CheckpointError
from stages.models.outcomes import remember_outcomes


class Asked:
    """A function that counts its calls, and fails for "gone" and "bug"."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, name: str) -> str:
        self.calls.append(name)
        if name == "gone":
            raise CheckpointError(f"{name} is not there.")
        if name == "bug":
            raise KeyError(name)
        return name.upper()


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_an_answer_is_given_again_without_a_call(asked: Asked):
    ask = remember_outcomes(functools.partial(asked))
    assert [ask("a"), ask("b"), ask("a")] == ["A", "B", "A"]
    assert asked.calls == ["a", "b"]


def test_an_error_is_raised_again_without_a_call(asked: Asked):
    ask = remember_outcomes(functools.partial(asked))
    for _ in range(3):
        with pytest.raises(CheckpointError, match=r"^gone is not there\.$"):
            ask("gone")
    assert asked.calls == ["gone"]


def test_an_error_that_is_raised_again_has_the_traceback_of_one_time(asked: Asked):
    ask = remember_outcomes(functools.partial(asked))
    depths = set()
    for _ in range(3):
        with pytest.raises(CheckpointError) as error:
            ask("gone")
        depths.add(len(error.traceback))
    assert len(depths) == 1


def test_a_fault_of_the_program_is_not_remembered(asked: Asked):
    ask = remember_outcomes(functools.partial(asked))
    for _ in range(2):
        with pytest.raises(KeyError):
            ask("bug")
    assert asked.calls == ["bug", "bug"]
