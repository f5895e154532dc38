"""A process that stands still for half a minute, as on a host that swaps or a laptop that sleeps, changes nothing."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.scene import Scene
from tests.project import copy_built

pytestmark = pytest.mark.processes


@pytest.mark.faults
@pytest.mark.parametrize("victim", ["child", "doit"])
def test_a_process_that_is_stopped_for_30_s_goes_on_and_what_it_makes_is_the_same(
    built: Path, tmp_path: Path, victim: str
):
    scene = Scene(copy_built(built, tmp_path / "project"))
    before = scene.look().digests
    process = scene.start("-a", "export")
    deadline = time.monotonic() + 60
    while not (children := [each for each in scene.process_ids() if each != process.pid]):
        assert time.monotonic() < deadline
    stopped = children[0] if victim == "child" else process.pid
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(10)
    assert scene.run("list")[0] == 0  # others can go on meanwhile
    time.sleep(20)
    os.kill(stopped, signal.SIGCONT)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    found = scene.look()
    assert (found.digests, found.wrong, found.drafts) == (before, (), ())
