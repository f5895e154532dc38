"""What is said before a run; tests/test_sweep.py sees the time in it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stages.commands.announcement import announce, announce_sweeps
from stages.commands.invocation import Invocation
from stages.run.plan import Plan
from tests.project import copy_params
from tests.request.sweeps import write_sweep
from tests.run.fakes import fake_build
from tests.run.test_screen import RecordingScreen


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        (("harbour-1", "harbour-2"), ["2 videos: 1 encode, 2 denoises, 2 decodes, 2 exports"]),
        (("demo",), []),
    ],
)
def test_how_much_is_made_is_said_of_sweeps_alone_and_no_time_without_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, videos, said
):
    monkeypatch.chdir(tmp_path)  # where the fake store has its folder
    write_sweep(copy_params(tmp_path), 'denoise.seed = "1..2"\n')
    build, _, _ = fake_build(tmp_path, {})
    names = [*(node.title for video in videos for node in build.graph.videos[video].values()), *videos]
    found: list[str] = []
    build.check(names, build.demand(), partial(announce_sweeps, build, found.append))
    assert found == said


class PlanTaking(RecordingScreen):
    """Takes a plan as it is before the store is read."""

    def plan(self, basis: Plan, refine: Callable[[], Plan]) -> None:  # noqa: ARG002
        self.shown.append(basis)


def test_the_screen_is_given_what_is_to_be_made_and_nodes_of_one_device_have_one_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    copy_params(tmp_path)
    build, store, _ = fake_build(tmp_path, {})
    nodes = build.graph.videos["demo"]
    store.fresh.add(nodes["encode"].artifact)
    screen = PlanTaking()
    names = [*(node.title for node in nodes.values()), "demo"]
    build.check(names, build.demand(), partial(announce, build, Invocation({}, screen=screen)))
    (plan,) = screen.shown
    assert plan.stages == ("encode", "denoise", "decode", "export")
    assert [(title, node.stage, node.lane) for title, node in plan.nodes.items()] == [
        (nodes["denoise"].title, "denoise", "accelerator"),
        (nodes["decode"].title, "decode", "accelerator"),
        (nodes["export"].title, "export", "export"),
    ]
