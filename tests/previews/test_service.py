"""The process that makes previews, called in this one."""

import math
from pathlib import Path

import numpy as np

from stages.geometry import LATENT_CHANNELS
from stages.keys import ArtifactId, Key
from stages.models.checkpoint import Checkpoint
from stages.previews.service import serve
from stages.run.preview_messages import Answer, Moment, Subject
from stages.store.previews import preview_folder, preview_link
from tests.project import SHAPES

ARTIFACT = ArtifactId("denoise", Key("1" * 32))
SHAPE = (1, LATENT_CHANNELS, 2, 3, 4)


def ask(root: Path, *moments: tuple[int, list[float]], checkpoint: Path = SHAPES) -> list[Answer]:
    """The answers to these moments, each with steps that are done of 20, and its shares of noise."""
    content = Subject(root, ARTIFACT, ("demo",), Checkpoint(checkpoint)).to_json().encode() + b"\n"
    for num_done, sigmas in moments:
        content += Moment(num_done, 20, sigmas, SHAPE, "float32").to_json().encode() + b"\n"
        for seed, _ in enumerate(sigmas):
            content += np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32).tobytes()
    return exchange(root, content)


def exchange(root: Path, content: bytes) -> list[Answer]:
    """The answers to what comes on stdin."""
    asked, answered = root.with_name("asked"), root.with_name("answered")
    asked.write_bytes(content)
    with asked.open("rb") as source, answered.open("w") as answers:
        serve(source, answers)
    return [Answer.from_json(line) for line in answered.read_text().splitlines()]


def test_previews_replace_each_other_under_the_name_of_the_video(tmp_path: Path):
    first, second = ask(tmp_path, (2, [0.9, 0.8]), (20, [0.0]))
    assert first.fault == second.fault == ""
    link = preview_link(tmp_path, "demo")
    assert link.resolve().parent == preview_folder(tmp_path, ARTIFACT).resolve()
    assert link.read_bytes()[8:12] == b"WEBP"
    names = {path.name for path in preview_folder(tmp_path, ARTIFACT).iterdir()}
    assert names == {"animation.webp", "strip.webp"}


def test_an_answer_says_what_it_has_cost(tmp_path: Path):
    first, second = ask(tmp_path, (2, [0.9, 0.8]), (3, [0.8, 0.7]))
    assert 0 < second.last_cpu_s <= second.cpu_s - first.cpu_s + 1e-6


def test_what_keeps_a_preview_from_being_written_is_said(tmp_path: Path):
    (tmp_path / "previews").write_text("in the way")
    (answer,) = ask(tmp_path, (2, [0.9, 0.8]))
    assert answer.fault == f"{tmp_path}/previews: File exists"


def test_latents_that_are_not_finite_have_no_preview(tmp_path: Path):
    (answer,) = ask(tmp_path, (2, [0.9, math.nan]))
    assert answer.fault == "its latents are not finite"
    assert not preview_link(tmp_path, "demo").exists()


def test_a_checkpoint_without_a_vae_is_said(tmp_path: Path):
    (answer,) = ask(tmp_path, (2, [0.9, 0.8]), checkpoint=tmp_path)
    assert answer.fault.startswith(f"{tmp_path}")


def test_a_denoise_that_ends_before_it_begins_is_nothing(tmp_path: Path):
    assert exchange(tmp_path, b"") == []
