"""A denoise of the built-in checkpoint that is killed at any moment, and goes on: the same bytes, and few steps twice.

Steps are counted from the events of the stage's process; the last test kills doit.
"""

import json
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stages.keys import Node
from stages.run.build import Build
from stages.run.loading import load_build
from stages.store.manifest import RUN
from stages.store.partial import PartialStates
from tests.interrupts import interruptible_children
from tests.project import DOIT, copy_built, environment, run_doit
from tests.stage_process import StageProcess

pytestmark = [pytest.mark.faults, pytest.mark.processes]

NUM_STEPS = 16
EVERY = 3
NUM_RANDOM_KILLS = 50
MAX_DELAY_S = 0.1  # some steps
ENDINGS = (signal.SIGKILL, signal.SIGTERM)
IN_TIME_S = 1.0  # from the signal to the end of doit and of its processes


@dataclass
class Scene:
    """A project whose video has been encoded, and its denoise.

    Attributes:
        root: the project's folder.
        build: of it.
        expected: what a run makes that nobody kills.
        steps: of the present denoise, by the runs that have done a part of it, as far as their events came.
        was_killed: whether the last run has not said that it is done.
    """

    root: Path
    build: Build
    expected: bytes = b""
    steps: list[list[int]] = field(default_factory=list)
    was_killed: bool = False

    @property
    def node(self) -> Node:
        return self.build.graph.videos["demo"]["denoise"]

    @property
    def is_done(self) -> bool:
        return self.build.store.manifest(self.node.artifact) is not None

    def begin(self) -> None:
        """Remove what has been made, and what was saved of it."""
        self.build.store.remove(self.node.artifact)
        self.steps = []

    def latents(self) -> bytes:
        return self.build.store.payload(self.node.artifact).read_bytes()

    def facts(self) -> dict[str, Any]:
        return json.loads((self.build.store.folder(self.node.artifact) / RUN).read_text())

    def run(self, number: signal.Signals | None = None, *, after: int = 0, delay_s: float = 0.0) -> None:
        """Go on; a signal comes some time after a step, if the run does that step."""
        process, steps = StageProcess("denoise", self.root / "log"), []
        self.was_killed = True
        for event in process.begin(self.build.job(self.node)):
            assert event["event"] != "error", event
            if event.get("unit") == "step":
                steps.append(event["done"])
                if number is not None and event["done"] == after:
                    time.sleep(delay_s)
                    process.signal(number)
            if event["event"] == "result":
                self.was_killed = False
                break
        process.close()
        self.steps.append(steps)

    def check(self) -> None:
        """The bytes are those that nobody has interrupted; no more steps were done than may be; nothing is left."""
        assert self.is_done
        assert self.latents() == self.expected
        assert sum(map(len, self.steps)) <= NUM_STEPS + EVERY * (len(self.steps) - 1)
        assert [done for steps in self.steps for done in steps][-1:] in ([NUM_STEPS], [])
        if not self.was_killed:  # between publishing and removing, by SIGKILL: `doit gc` removes it
            assert PartialStates(self.build.store.root).find_all() == []
        assert self.facts()["num_pieces"] <= len(self.steps)


@pytest.fixture(scope="module")
def scene(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = copy_built(built, tmp_path_factory.mktemp("scene") / "project")
    changes = {"denoise.num_inference_steps": str(NUM_STEPS), "machine.checkpoint_every": str(EVERY)}
    scene = Scene(root, load_build(root, changes))
    scene.begin()
    scene.run()
    scene.expected = scene.latents()
    return scene


@pytest.mark.parametrize("number", ENDINGS)
@pytest.mark.parametrize("moments", [(1,), (2,), (10,), (11,), (NUM_STEPS - 1,), (5, 12), (7, 8)])
def test_killed_after_these_steps_it_makes_the_same_bytes(scene: Scene, moments: Sequence[int], number: signal.Signals):
    scene.begin()
    for after in moments:
        scene.run(number, after=after)
        assert not scene.is_done
        assert scene.steps[-1][-1] >= after
    scene.run()
    scene.check()
    saved = scene.steps[-1][0] - 1
    assert scene.facts()["resumed_after_step"] == saved
    if number == signal.SIGTERM:
        assert scene.facts()["num_pieces"] == 1 + len(moments)
        assert saved >= moments[-1]
    else:
        assert saved > moments[-1] - EVERY


def test_killed_at_random_moments_it_makes_the_same_bytes(scene: Scene):
    choose = random.Random(0)  # noqa: S311 (for moments)
    kills, runs, num_steps = 0, 0, 0
    while kills < NUM_RANDOM_KILLS:
        scene.begin()
        while not scene.is_done:
            first = max((steps[-1] for steps in scene.steps if steps), default=0)
            scene.run(
                choose.choice(ENDINGS),
                after=choose.randint(min(first + 1, NUM_STEPS), NUM_STEPS),
                delay_s=choose.uniform(0, MAX_DELAY_S),
            )
        scene.check()
        kills += len(scene.steps) - 1
        runs += 1
        num_steps += sum(map(len, scene.steps))
        print(f"{kills} kills, {runs} videos, {num_steps} steps for {runs * NUM_STEPS}", flush=True)


def processes_of(root: Path) -> list[Path]:
    """Stages' processes that work in a project's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == root and b"stages.run" in (process / "cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue  # it has ended
    return found


@pytest.mark.parametrize("num_threads", ["1", "4"])
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        (signal.SIGHUP,),
        (signal.SIGKILL,),
        (signal.SIGTERM, signal.SIGHUP),  # as systemd sends them, with SendSIGHUP=yes
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT),
    ],
)
def test_when_doit_is_ended_the_denoise_is_saved_and_its_processes_are_gone_in_time(
    built: Path, tmp_path: Path, numbers: tuple[signal.Signals, ...], num_threads: str
):
    """The last of several signals is sent again and again until doit has ended."""
    root = copy_built(built, tmp_path / "project")
    steps = ["denoise", "denoise.num_inference_steps=400", "machine.checkpoint_every=20"]
    with interruptible_children():
        doit = subprocess.Popen([*DOIT, "-n", num_threads, *steps], cwd=root, env=environment())
    deadline = time.monotonic() + 120
    while not (saved := list(root.glob("artifacts/partial/denoise/*/state"))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sent = time.monotonic()
    doit.send_signal(numbers[0])
    while len(numbers) > 1 and doit.poll() is None:
        time.sleep(0.02)
        doit.send_signal(numbers[-1])
    while (doit.poll() is None or processes_of(root)) and time.monotonic() - sent < IN_TIME_S:
        time.sleep(0.02)
    assert (doit.poll() is not None, processes_of(root)) == (True, [])
    assert doit.wait() == (-signal.SIGKILL if numbers == (signal.SIGKILL,) else 1)
    assert saved[0].is_file()
    result = run_doit(root, *steps)
    assert result.returncode == 0, result.stdout
    (run,) = [
        path for path in root.glob("artifacts/denoise/*/run.json") if json.loads(path.read_text())["num_pieces"] == 2
    ]
    assert json.loads(run.read_text())["resumed_after_step"] >= 20
    assert f": goes on after step {json.loads(run.read_text())['resumed_after_step']} of 400" in result.stdout
    assert not list(root.glob("artifacts/partial/denoise/*"))
    assert not list(root.glob("artifacts/.drafts/*"))
