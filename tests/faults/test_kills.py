"""`doit` and its processes are killed at random moments; nothing wrong is left, nothing finished is lost.

`python -m benchmarks.faults` does the same as the tests with the mark, and writes the figures.
"""

import os
import time
from pathlib import Path

import pytest

from tests.faults.killing import Killer, Outcome, measure, plan
from tests.faults.scene import Scene
from tests.project import copy_built

pytestmark = pytest.mark.processes

A_DOZEN, HUNDREDS = 12, 300
_SPARE = 3  # attempts per kill that is wanted: some come when the run has ended


def faults_of(outcomes: list[Outcome]) -> list[str]:
    """What is wrong whatever the next command was, a line each."""
    kinds = ("orphans", "wrong", "made_again", "temporary", "locks")
    return [
        f"{kind}: {getattr(outcome, kind)} after {outcome.attempt}"
        for outcome in outcomes
        for kind in kinds
        if getattr(outcome, kind)
    ]


def test_a_dozen_kills_of_an_export_leave_nothing_wrong(built: Path, tmp_path: Path):
    scene = Scene(copy_built(built, tmp_path / "project"))
    reference = scene.look()
    (scene.store / "export").rename(tmp_path / "export")
    start = time.monotonic()
    assert scene.run()[0] == 0
    killer = Killer(scene, reference, {"export": time.monotonic() - start})
    outcomes = [killer.run(attempt) for attempt in plan(seed=1, number=A_DOZEN, begins=("export",))]
    assert sum(outcome.was_killed for outcome in outcomes) >= A_DOZEN // 3
    assert faults_of(outcomes) == []
    assert killer.finish() == (0, [])
    assert scene.look().drafts == ()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Killer, list[Outcome]]:
    """What hundreds of kills of whole builds have left; FAULTS_SEED chooses other moments."""
    scene = Scene.create(tmp_path_factory.mktemp("killed"))
    reference, durations_s = measure(scene)
    killer = Killer(scene, reference, durations_s)
    outcomes: list[Outcome] = []
    for attempt in plan(int(os.environ.get("FAULTS_SEED", "2")), HUNDREDS * _SPARE):
        outcome = killer.run(attempt)
        outcomes += [outcome] if outcome.was_killed else []
        if len(outcomes) == HUNDREDS:
            break
    return killer, outcomes


@pytest.mark.faults
def test_hundreds_of_kills_leave_nothing_wrong(killed: tuple[Killer, list[Outcome]]):
    killer, outcomes = killed
    assert len(outcomes) == HUNDREDS
    assert faults_of(outcomes) == []
    assert killer.finish() == (0, [])


@pytest.mark.faults
def test_no_draft_of_a_killed_run_is_left_after_the_next_command(killed: tuple[Killer, list[Outcome]]):
    assert [outcome.attempt for outcome in killed[1] if outcome.drafts] == []
