"""When a denoise is saved, and from what it goes on: with plain arrays, and a clock that the tests move."""

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from stages.denoise.resume import Keeper, Start, Work, find_start
from stages.geometry import LatentSize
from stages.keys import ArtifactId, Key
from stages.store.partial import PartialState, PartialStates

SIZE = LatentSize(1, 2, 3)
LATENTS = np.arange(32 * 6, dtype=np.float32).reshape(SIZE.shape)
MADE_WITH = {"code": "c" * 32, "jax": "0.10.2", "libtpu": ""}
WORK = Work(ArtifactId("denoise", Key("a" * 32)), MADE_WITH, SIZE, "float32", num_steps=20)
BEFORE = Start(num_done=7, num_pieces=2, wall_s=1.5, latents=LATENTS)


@pytest.fixture
def states(tmp_path: Path) -> PartialStates:
    return PartialStates(tmp_path)


def find(states: PartialStates, work: Work = WORK) -> tuple[Start, list[str]]:
    """Where a run begins, and what the user is told."""
    notes: list[str] = []
    return find_start(work, states, notes.append), notes


def keep(states: PartialStates, start: Start = BEFORE, **changes: Any) -> None:
    states.write(WORK.artifact, replace(WORK.state_of(start), **changes))


def test_where_nothing_was_saved_a_run_begins_at_the_noise_without_a_word(states: PartialStates):
    assert find(states) == (Start(), [])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_was_saved_is_gone_on_with_to_the_bit(states: PartialStates, dtype: str):
    work = replace(WORK, dtype=dtype)
    latents = LATENTS.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32)
    states.write(work.artifact, work.state_of(replace(BEFORE, latents=latents)))
    start, notes = find(states, work)
    assert replace(start, latents=None) == replace(BEFORE, latents=None)
    assert start.latents is not None
    assert (start.latents.dtype, start.latents.tobytes()) == (latents.dtype, latents.tobytes())
    assert notes == ["goes on after step 7 of 20"]


def test_all_steps_may_be_done(states: PartialStates):
    keep(states, replace(BEFORE, num_done=20))
    assert find(states)[0].num_done == 20


def test_a_start_is_the_same_on_another_host():
    there = WORK.from_bytes(WORK.to_bytes(BEFORE))
    assert np.array_equal(there.latents, LATENTS)  # type: ignore[arg-type]
    assert replace(there, latents=None) == replace(BEFORE, latents=None)
    assert WORK.from_bytes(WORK.to_bytes(Start())) == Start()


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({"jax": "0.10.3"}, "jax 0.10.2, not 0.10.3"),
        ({"code": "d" * 32}, f"code {'c' * 24}…, not {'d' * 24}…"),
        ({"libtpu": "0.1"}, "libtpu none, not 0.1"),
        ({"mesh": "1x1x1"}, "mesh none, not 1x1x1"),
        ({"jax": "1", "libtpu": "2"}, "jax 0.10.2, not 1; libtpu none, not 2"),
        (
            dict.fromkeys("abcdef", "1"),
            "a none, not 1; b none, not 1; c none, not 1; d none, not 1; and 2 more differences",
        ),
    ],
)
def test_what_was_saved_by_another_kind_of_run_is_left_and_the_reason_said(
    states: PartialStates, now: Mapping[str, str], reason: str
):
    keep(states)
    start, notes = find(states, replace(WORK, made_with={**MADE_WITH, **now}))
    assert start == Start()
    assert notes == [f"starts anew, because step 7 of 20 was saved by a run with {reason}"]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "it does not say how far it is"),
        ({"num_done": 0, "num_pieces": 1, "wall_s": 1.0}, "it does not say how far it is"),
        ({"num_done": True, "num_pieces": 1, "wall_s": 1.0}, "it does not say how far it is"),
        ({"num_done": 7.0, "num_pieces": 1, "wall_s": 1.0}, "it does not say how far it is"),
        ({"num_done": 7, "num_pieces": 0, "wall_s": 1.0}, "it does not say how far it is"),
        ({"num_done": 7, "num_pieces": 1, "wall_s": -1.0}, "it does not say how far it is"),
        ({"num_done": 7, "num_pieces": 1, "wall_s": 1.0, "more": 1}, "it does not say how far it is"),
        ({"num_done": 21, "num_pieces": 1, "wall_s": 1.0}, "it says that 21 of 20 steps are done"),
    ],
)
def test_what_does_not_say_how_far_it_is_is_left_and_the_reason_said(
    states: PartialStates, facts: dict[str, Any], reason: str
):
    keep(states, facts=facts)
    assert find(states) == (Start(), [f"starts anew, because what was saved cannot be used: {reason}"])


def test_what_is_damaged_is_left_and_the_reason_said(states: PartialStates):
    keep(states)
    file = states.folder(WORK.artifact) / "state"
    file.write_bytes(file.read_bytes()[:-1])
    reason = f"{file}: is damaged (its digest does not match)"
    assert find(states) == (Start(), [f"starts anew, because what was saved cannot be used: {reason}"])
    file.unlink()
    os.mkfifo(file)
    reason = f"{file}: cannot be read (is a FIFO, not a file)"
    assert find(states) == (Start(), [f"starts anew, because what was saved cannot be used: {reason}"])


def test_latents_of_another_size_are_left(states: PartialStates):
    keep(states)
    start, (note,) = find(states, replace(WORK, size=LatentSize(1, 2, 4)))
    assert start == Start()
    assert note.endswith("is damaged (it holds 768 bytes, not 1024)")


class States(PartialStates):
    """Counts what is written; each takes its time."""

    def __init__(self, root: Path, save_s: float) -> None:
        super().__init__(root)
        self.now_s = 0.0
        self.written: list[int] = []
        self._save_s = save_s

    def write(self, artifact: ArtifactId, state: PartialState) -> None:
        self.now_s += self._save_s
        super().write(artifact, state)
        self.written.append(int(str(state.facts["num_done"])))


def run(
    root: Path,
    every: str,
    *,
    step_s: float = 1.0,
    save_s: float = 0.0,
    num_steps: int = 20,
    max_share: float = math.inf,
) -> States:
    """Do all steps on a disk that is as fast as expected; what was written, and when that ended.

    After each step, saving has taken at most `max_share` of the time.
    """
    states = States(root, save_s)
    keeper = Keeper(
        replace(WORK, num_steps=num_steps),
        Start(),
        states,
        every=every,
        warn=pytest.fail,
        clock=lambda: states.now_s,
        bytes_per_s=WORK.num_bytes / save_s if save_s else math.inf,
    )
    for done in range(1, num_steps + 1):
        states.now_s += step_s
        keeper(done, LATENTS)
        assert keeper.saving_s <= max_share * states.now_s
    assert keeper.saving_s == pytest.approx(len(states.written) * save_s)
    return states


@pytest.mark.parametrize(("every", "expected"), [("1", [*range(1, 20)]), ("7", [7, 14]), ("10", [10]), ("20", [])])
def test_a_number_of_steps_is_kept_to_and_the_last_step_is_not_saved(tmp_path: Path, every: str, expected: list[int]):
    assert run(tmp_path, every).written == expected


def test_by_itself_it_is_saved_about_every_minute(tmp_path: Path):
    assert run(tmp_path, "auto", step_s=25.0).written == [3, 6, 9, 12, 15, 18]
    assert run(tmp_path, "auto", step_s=300.0).written == [*range(1, 20)]
    assert run(tmp_path, "auto", step_s=3.0).written == []


@pytest.mark.parametrize("save_s", [0.1, 0.7, 2.0, 10.0])
def test_by_itself_it_is_saved_for_at_most_a_hundredth_of_the_time(tmp_path: Path, save_s: float):
    states = run(tmp_path, "auto", step_s=5.0, save_s=save_s, num_steps=2000, max_share=0.01)
    assert len(states.written) > 1


@pytest.mark.parametrize(("save_s", "expected"), [(0.1, [12, 25]), (0.7, [14, 28]), (1.4, [28]), (2.0, [])])
def test_by_itself_a_short_run_is_not_saved_for_more_than_a_hundredth_of_its_time_either(
    tmp_path: Path, save_s: float, expected: list[int]
):
    assert run(tmp_path, "auto", step_s=5.0, save_s=save_s, num_steps=30, max_share=0.01).written == expected


def keeper_of(states: PartialStates, start: Start = BEFORE, every: str = "auto") -> tuple[Keeper, list[str]]:
    """A keeper, and its warnings."""
    warnings: list[str] = []
    return Keeper(WORK, start, states, every=every, warn=warnings.append), warnings


def test_when_asked_the_last_step_is_saved_with_all_runs_and_their_time(states: PartialStates):
    keeper, _ = keeper_of(states)
    keeper(8, LATENTS)
    keeper(9, LATENTS + 1)
    keeper.save()
    start, _ = find(states)
    assert (start.num_done, start.num_pieces) == (9, 3)
    assert start.wall_s >= BEFORE.wall_s
    assert np.array_equal(start.latents, LATENTS + 1)  # type: ignore[arg-type]


def test_where_there_is_nothing_new_nothing_is_written(states: PartialStates):
    keeper, _ = keeper_of(states)
    keeper.save()
    assert states.find_all() == []
    keeper(8, LATENTS)
    keeper.save()
    states.remove(WORK.artifact)
    keeper.save()
    assert states.find_all() == []


def test_latents_that_are_not_finite_do_not_replace_what_was_saved(states: PartialStates):
    keep(states)
    keeper, warnings = keeper_of(states)
    keeper(8, np.full_like(LATENTS, np.nan))
    keeper.save()
    assert find(states)[0].num_done == 7
    assert warnings == []


def test_a_store_that_cannot_be_written_is_warned_of_once(tmp_path: Path):
    (tmp_path / "partial").touch()
    keeper, warnings = keeper_of(PartialStates(tmp_path), every="1")
    keeper(8, LATENTS)
    keeper(9, LATENTS)
    assert warnings == [
        f"its steps cannot be saved ({tmp_path}/partial/denoise/{'a' * 32}: Not a directory). "
        "If it is interrupted, it starts anew."
    ]
