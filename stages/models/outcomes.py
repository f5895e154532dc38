"""Remembers what a function has answered, or that it has failed, so that what several videos share is done once."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from stages.errors import StagesError

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class _Failed:
    error: StagesError


def remember_outcomes(function: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """As `functools.cache`, and an error that is shown to people is remembered too: it is raised again at once.

    So nobody waits again for a network that is not there. Arguments must be hashable; other errors are not remembered.
    """

    @functools.cache
    def attempt(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer | _Failed:
        try:
            return function(*args, **kwargs)
        except StagesError as error:
            return _Failed(error)

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Answer:
        outcome = attempt(*args, **kwargs)  # type: ignore[arg-type] # hashable, as promised
        if isinstance(outcome, _Failed):
            raise outcome.error.with_traceback(None)  # else it would grow with each time
        return outcome

    return call
