"""Turns at a device, among the threads of one run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """Who may use a device: one job at a time, of those that wait the earliest stage's first.

    Otherwise a model would leave for one job of a later stage and come back for the next of its own.
    """

    def __init__(self) -> None:
        """Nobody has it."""
        self._changed = threading.Condition()
        self._waiting: list[int] = []
        self._is_taken = False

    @property
    def num_waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @contextmanager
    def take(self, rank: int, is_given_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Wait for a turn; a lower `rank` goes first. False for one that was given up, as `look_again` has shown."""
        is_over = False

        def has_come() -> bool:
            nonlocal is_over
            is_over = is_given_up()  # asked once a look: what is returned has to be what was seen
            return is_over or (not self._is_taken and rank == min(self._waiting))

        with self._changed:
            self._waiting.append(rank)
            self._changed.wait_for(has_come)
            self._waiting.remove(rank)
            has_turn = not is_over
            self._is_taken |= has_turn
            self._changed.notify_all()  # that one waits no more
        try:
            yield has_turn
        finally:
            if has_turn:
                self._give_back()

    def look_again(self) -> None:
        """Have those that wait see whether they are given up."""
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def take_if_free(self) -> Iterator[bool]:
        """A turn that is not waited for, and whether there was one."""
        with self._changed:
            is_free = not self._is_taken and not self._waiting
            self._is_taken |= is_free
        try:
            yield is_free
        finally:
            if is_free:
                self._give_back()

    def _give_back(self) -> None:
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()
