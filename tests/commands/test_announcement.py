"""What is said before a run that makes videos of sweeps; tests/test_sweep.py sees the time in it."""

from functools import partial
from pathlib import Path

import pytest

from stages.commands.announcement import announce_sweeps
from tests.project import copy_params
from tests.request.sweeps import write_sweep
from tests.run.fakes import fake_build


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
