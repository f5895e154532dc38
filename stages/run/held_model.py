"""The model that a stage's process keeps from one job to the next."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Model = TypeVar("Model")


class HeldModel(Generic[Model]):
    """Holds one model at most: the old one is let go before the new one is loaded."""

    def __init__(self) -> None:
        self._held: tuple[Hashable, Model] | None = None

    def get(self, key: Hashable, load: Callable[[], Model]) -> Model:
        """The model of `key`: the one that is held, or what `load` returns."""
        if self._held is None or self._held[0] != key:
            self._held = None
            self._held = key, load()
        return self._held[1]
