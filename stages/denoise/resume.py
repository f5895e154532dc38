"""A denoise that is interrupted goes on in another run: when it is saved, and whether what was saved still holds.

Owns what a saved state means; stages/store/partial.py keeps its bytes. docs/decisions/0030-resume.md says why.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import StoreError
from stages.geometry import LatentSize
from stages.keys import ArtifactId, JsonValue
from stages.machine.mesh_layout import AUTO
from stages.store.partial import PartialState, PartialStates
from stages.tensors.dtypes import DTYPES

_EVERY_S = 60.0  # with "auto": seconds of work between two states
_BYTES_PER_S = 1e8  # of a slow disk, to which the bytes are synced
_MAX_SHARE = 0.01  # with "auto": of the time, for saving
_MAX_SHOWN = 24  # characters of a value in a message; digests are longer
_MAX_CHANGES = 4  # in a message


@dataclass(frozen=True)
class Start:
    """Where a run begins: at the noise, or where another one was interrupted.

    Attributes:
        num_done: steps that are done, 0 .. steps in all.
        num_pieces: runs before this one that have done a part of them.
        wall_s: seconds that those took for these steps.
        latents: after these steps, [1, c, f, h, w], model dtype; None before the first.
    """

    num_done: int = 0
    num_pieces: int = 0
    wall_s: float = 0.0
    latents: NDArray[Any] | None = None


@dataclass(frozen=True)
class Work:
    """One denoise, as far as a state that was saved of it has to match it.

    Attributes:
        artifact: the result.
        made_with: what decides the bits of the result besides the node's key, by names that users know.
        size, dtype: of the latents.
        num_steps: >= 1.
    """

    artifact: ArtifactId
    made_with: Mapping[str, str]
    size: LatentSize
    dtype: str
    num_steps: int

    @property
    def num_bytes(self) -> int:
        """Of the latents."""
        return math.prod(self.size.shape) * DTYPES[self.dtype].itemsize

    def state_of(self, start: Start) -> PartialState:
        """The state to store so that a later run begins at `start`, after at least one step."""
        assert start.latents is not None
        facts: dict[str, JsonValue] = {name: getattr(start, name) for name in _FACTS}
        return PartialState(self.made_with, facts, start.latents.tobytes())

    def start_of(self, state: PartialState) -> Start:
        """The inverse of `state_of`. Raises ValueError when the state is none of this work."""
        facts: Any = state.facts
        if facts.keys() != _FACTS.keys() or not all(is_right(facts[name]) for name, is_right in _FACTS.items()):
            raise ValueError("it does not say how far it is")
        if facts["num_done"] > self.num_steps:
            raise ValueError(f"it says that {facts['num_done']} of {self.num_steps} steps are done")
        latents = np.frombuffer(state.payload, DTYPES[self.dtype]).reshape(self.size.shape)
        return Start(**facts, latents=latents)

    def to_bytes(self, start: Start) -> bytes:
        """A start, for other hosts."""
        return b"" if start.latents is None else self.state_of(start).to_bytes(self.artifact)

    def from_bytes(self, content: bytes) -> Start:
        """The inverse of `to_bytes`."""
        return self.start_of(PartialState.from_bytes(content, self.artifact, self.num_bytes)) if content else Start()


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1  # JSON's true is not 1


_FACTS: Mapping[str, Callable[[Any], bool]] = MappingProxyType({
    "num_done": _is_count,
    "num_pieces": _is_count,
    "wall_s": lambda value: type(value) is float and 0 <= value < math.inf,
})  # fmt: skip


def find_start(work: Work, states: PartialStates, note: Callable[[str], None]) -> Start:
    """Where to begin. Never raises: of a state that cannot be used the reason is noted.

    Args:
        work: that is to be done.
        states: of the store.
        note: is called once with what the user should know, unless there is no state.
    """
    try:
        state = states.read(work.artifact, payload_bytes=work.num_bytes)
        if state is None:
            return Start()
        start = work.start_of(state)
    except (StoreError, ValueError) as error:
        note(f"starts anew, because what was saved cannot be used: {error}")
        return Start()
    after = f"step {start.num_done} of {work.num_steps}"
    if changes := _explain_changes(state.made_with, work.made_with):
        note(f"starts anew, because {after} was saved by a run with {changes}")
        return Start()
    note(f"goes on after {after}")
    return start


def _explain_changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs, in words; "" when nothing does."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    shown = [f"{name} {_shown(before.get(name))}, not {_shown(now.get(name))}" for name in names[:_MAX_CHANGES]]
    more = [f"and {len(names) - _MAX_CHANGES} more differences"] if len(names) > _MAX_CHANGES else []
    return "; ".join([*shown, *more])


def _shown(value: str | None) -> str:
    if not value:
        return "none"
    return value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"


class Keeper:
    """Has the latents after the last step at hand, and saves them when it is time to or when it is asked.

    May be used by several threads.
    """

    def __init__(
        self,
        work: Work,
        start: Start,
        states: PartialStates,
        *,
        every: str,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        bytes_per_s: float = _BYTES_PER_S,
    ) -> None:
        """The run begins now.

        Args:
            work: that is being done.
            start: of this run.
            states: of the store.
            every: steps between two states; or "auto", about a minute, with at most a hundredth of the time for saving.
            warn: is called once when a state cannot be written, which stops nothing.
            clock: seconds.
            bytes_per_s: at which the first state is expected to be saved; each later one is expected to take the time
                of the one before it.
        """
        self._work = work
        self._start = start
        self._states = states
        self._every = every
        self._unwarned: Callable[[str], None] | None = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[int, NDArray[Any]] | None = None
        self._num_saved = start.num_done
        self._began_s = self._ended_s = clock()  # when this run began, and when it last saved
        self._last_save_s = work.num_bytes / bytes_per_s  # that the next one is expected to take
        self.saving_s = 0.0  # that all states have taken

    def __call__(self, num_done: int, latents: NDArray[Any]) -> None:
        """Take the latents after a step, which nobody changes any more."""
        self._last = num_done, latents
        if num_done < self._work.num_steps and self._is_due(num_done):
            self.save()

    def save(self) -> None:
        """Save the last finished step, unless that has been done. May be called at any moment."""
        with self._lock:
            if self._last is None or self._last[0] == self._num_saved:
                return
            num_done, latents = self._last
            began_s = self._clock()
            if np.isfinite(latents.astype(np.float32)).all():  # else the run will fail, and so would all after it
                self._write(num_done, latents)
            self._num_saved, self._ended_s = num_done, self._clock()
            self._last_save_s = self._ended_s - began_s
            self.saving_s += self._last_save_s

    def _is_due(self, num_done: int) -> bool:
        if self._every != AUTO:
            return num_done - self._num_saved >= int(self._every)
        now_s = self._clock()
        is_time = now_s - self._ended_s >= _EVERY_S
        return is_time and self.saving_s + self._last_save_s <= _MAX_SHARE * (now_s - self._began_s)

    def _write(self, num_done: int, latents: NDArray[Any]) -> None:
        wall_s = round(self._start.wall_s + self._clock() - self._began_s, 3)
        state = self._work.state_of(Start(num_done, self._start.num_pieces + 1, wall_s, latents))
        try:
            self._states.write(self._work.artifact, state)
        except (OSError, StoreError) as error:
            reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            warn, self._unwarned = self._unwarned, None
            if warn is not None:
                warn(f"its steps cannot be saved ({reason.rstrip('.')}). If it is interrupted, it starts anew.")
