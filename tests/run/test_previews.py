"""When previews are made, and that nobody waits for them."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from stages.geometry import LATENT_CHANNELS
from stages.keys import ArtifactId, Key
from stages.models.checkpoint import Checkpoint
from stages.run import previews as module
from stages.run.preview_messages import Answer, Subject
from stages.run.previews import Previews, open_previews
from stages.run.report import Report
from stages.store.previews import preview_link
from tests.builders import build_job, build_node
from tests.project import SHAPES

pytestmark = pytest.mark.processes

NUM_STEPS = 20
# A process that takes what the real one takes, writes the lines down, and answers as its arguments say.
STAND_IN = """
import json, math, sys, time
log, answer, delay_s = open(sys.argv[1], "a", buffering=1), sys.argv[2], float(sys.argv[3])
sys.stdin.buffer.readline()
for line in iter(sys.stdin.buffer.readline, b""):
    log.write(line.decode())
    moment = json.loads(line)
    size = {"float32": 4, "bfloat16": 2}[moment["dtype"]]
    sys.stdin.buffer.read(len(moment["sigmas"]) * size * math.prod(moment["shape"]))
    time.sleep(delay_s)
    if not answer:
        sys.exit()
    print(answer, flush=True)
"""
COST = Answer(cpu_s=0.5, last_cpu_s=0.1).to_json()


class Scene:
    """Previews of a denoise that a test walks through, and what they have said."""

    def __init__(self, root: Path, *, every: str, sigmas: Sequence[float] | None = None, **options: Any) -> None:
        self.log, self.shown, self.warnings, self.now_s = root / "log", list[Path](), list[str](), 0.0
        sigmas = [1 - index / NUM_STEPS for index in range(NUM_STEPS + 1)] if sigmas is None else sigmas
        subject = Subject(root / "store", ArtifactId("denoise", Key("1" * 32)), ("demo",), Checkpoint(SHAPES))
        speak = {"show": self.shown.append, "warn": self.warnings.append}
        self.previews = Previews(
            subject, sigmas, every=every, num_processors=2, clock=lambda: self.now_s, **speak, **options
        )

    def step(self, *numbers: int, dtype: Any = np.float32, waits: bool = True) -> None:
        """Hand over the latents after these steps; wait each time until nothing is being made."""
        for number in numbers:
            latents = np.random.default_rng(number).normal(size=(1, LATENT_CHANNELS, 2, 3, 4)).astype(dtype)
            self.previews(number, latents)
            deadline = time.monotonic() + 60
            while waits and self.previews._is_busy and not self.previews._is_broken:
                assert time.monotonic() < deadline
                time.sleep(0.005)

    @property
    def moments(self) -> list[dict[str, Any]]:
        """What a stand-in has been asked for."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def steps(self) -> list[int]:
        return [moment["num_done"] for moment in self.moments]


def stand_in(root: Path, answer: str = COST, delay_s: float = 0.0) -> list[str]:
    (root / "stand_in.py").write_text(STAND_IN)
    return [sys.executable, str(root / "stand_in.py"), str(root / "log"), answer, str(delay_s)]


def test_the_real_process_writes_a_preview_and_its_link_is_shown_once(tmp_path: Path):
    scene = Scene(tmp_path, every="1")
    scene.step(1, 2, 3)
    scene.previews.close()
    link = preview_link(tmp_path / "store", "demo")
    assert scene.warnings == []
    assert scene.shown == [link]
    assert link.read_bytes()[8:12] == b"WEBP"
    assert scene.previews.num_made == 2  # the first step has none before it


def test_a_number_of_steps_lies_between_two_previews(tmp_path: Path):
    scene = Scene(tmp_path, every="3", command=stand_in(tmp_path))
    scene.step(*range(1, NUM_STEPS + 1))
    scene.previews.close()
    assert scene.steps == [3, 6, 9, 12, 15, 18, 20]


def test_latents_come_with_those_before_and_the_last_ones_alone(tmp_path: Path):
    scene = Scene(tmp_path, every="19", command=stand_in(tmp_path))
    scene.step(*range(1, NUM_STEPS + 1))
    scene.previews.close()
    assert [moment["sigmas"] for moment in scene.moments] == [pytest.approx([0.1, 0.05]), [0.0]]


def test_rounded_latents_come_with_some_from_so_long_before_that_the_noise_has_changed(tmp_path: Path):
    sigmas = [1 - index / 1000 for index in range(51)]
    scene = Scene(tmp_path, every="40", sigmas=sigmas, command=stand_in(tmp_path))
    scene.step(*range(1, 41), dtype=ml_dtypes.bfloat16)
    scene.previews.close()
    (moment,) = scene.moments
    assert moment["sigmas"] == pytest.approx([0.97, 0.96])


def test_while_a_preview_is_made_there_is_no_next_one_and_nobody_waits(tmp_path: Path):
    scene = Scene(tmp_path, every="1", command=stand_in(tmp_path, delay_s=1.0))
    began = time.monotonic()
    scene.step(*range(1, NUM_STEPS), waits=False)
    assert time.monotonic() - began < 1.0
    scene.previews.close()
    assert scene.steps == [2]


def test_the_last_latents_wait_until_the_preview_before_is_made(tmp_path: Path):
    scene = Scene(tmp_path, every="1", command=stand_in(tmp_path, delay_s=0.2))
    scene.step(*range(1, NUM_STEPS + 1), waits=False)
    scene.previews.close()
    assert scene.steps in ([2, NUM_STEPS], [NUM_STEPS])


def test_by_itself_it_takes_a_small_share_of_the_processors(tmp_path: Path):
    scene = Scene(tmp_path, every="auto", command=stand_in(tmp_path, COST))
    # 1.5 s of two processors are 1 % of 75 s; after that, the stand-in says that all of it has cost half a second
    for number, now_s in enumerate((1, 74, 76, 80, 82, 86, 88), 1):
        scene.now_s = now_s
        scene.step(number)
    scene.previews.close()
    assert scene.steps == [3, 5, 7]


def test_a_denoise_that_is_soon_over_has_no_preview_by_itself(tmp_path: Path):
    scene = Scene(tmp_path, every="auto", command=stand_in(tmp_path))
    scene.step(*range(1, NUM_STEPS + 1))
    scene.previews.close()
    assert scene.steps == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "their process ended"),
        (
            Answer(1, 1, "/store/previews: No space left on device").to_json(),
            "/store/previews: No space left on device",
        ),
        ('{"cpu_s": 1}', "their process has said something else than an answer"),
    ],
)
def test_what_keeps_previews_from_being_made_is_one_warning(tmp_path: Path, answer: str, reason: str):
    scene = Scene(tmp_path, every="1", command=stand_in(tmp_path, answer))
    scene.step(*range(1, NUM_STEPS + 1))
    scene.previews.close()
    assert scene.warnings == [f"there are no more previews of it ({reason}). They change nothing else."]
    assert scene.steps == [2]
    assert scene.shown == []


def test_a_process_that_cannot_be_started_is_one_warning(tmp_path: Path):
    scene = Scene(tmp_path, every="1", command=[str(tmp_path / "nowhere")])
    scene.step(1, 2, 3)
    scene.previews.close()
    (warning,) = scene.warnings
    assert warning.startswith("there are no more previews of it ([Errno 2] No such file or directory")


def test_a_process_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.2)
    scene = Scene(tmp_path, every="1", command=stand_in(tmp_path, delay_s=600))
    scene.step(1, 2, waits=False)
    while not scene.steps:
        time.sleep(0.01)
    scene.previews.close()
    process = scene.previews._process
    assert process is not None
    assert process.returncode is not None


@pytest.mark.parametrize(("every", "videos", "are_there"), [
    ("never", ("demo",), False), ("auto", (), False), ("auto", ("demo",), True), ("5", ("demo",), True),
])  # fmt: skip
def test_a_setting_switches_previews_off(tmp_path: Path, every: str, videos: tuple[str, ...], are_there: bool):
    job = build_job(build_node("denoise"), Checkpoint(SHAPES), tmp_path, "c" * 32, {"preview_every": every})
    found = open_previews(replace(job, videos=videos), [1.0, 0.0], Report(lambda _event: None), num_processors=2)
    assert (found is not None) == are_there
