"""Whether a task is up to date: what doit asks, and prints in `doit info`."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Signature

from stages.errors import StagesError


@dataclass(frozen=True)
class Answer:
    """The store's answer, asked anew at each call.

    Attributes:
        ask: whether there is nothing to do.
        explain: the same in words.
        is_fetched: whether what is to do is to fetch it from the remote store.
    """

    __signature__ = Signature()  # doit's own asks for it, of each task, and Python would look for it

    ask: Callable[[], bool]
    explain: Callable[[], str]
    is_fetched: Callable[[], bool] = lambda: False

    def __call__(self) -> bool:
        """Whether there is nothing to do."""
        return self.ask()

    def __repr__(self) -> str:
        return self.explain()


@dataclass(frozen=True)
class Fault:
    """Why a video cannot be made: what doit asks whether it is up to date, and shows in `doit info`."""

    error: StagesError

    def __call__(self) -> bool:
        """It never is."""
        return False

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"

    @property
    def line(self) -> str:
        """Its message, on one line."""
        return " ".join(line.strip() for line in str(self.error).splitlines())
