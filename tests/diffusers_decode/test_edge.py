"""The program as a process: it takes decode over, for the decoder that the node names."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.diffusers_decode import edge
from stages.diffusers_decode.decoder import DiffusersDecoder
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.store.manifest import RUN
from stages.tensors.files import read_tensors, write_tensors
from tests.builders import CODE, build_job, publish
from tests.decode.builders import random_latents, write_vae
from tests.loads import watch_loads
from tests.stage_process import HOSTILE, IGNORED, Event, StageProcess, warnings_of

pytestmark = pytest.mark.compiles

PARAMETERS = {
    "decoder": "diffusers",
    "enable_tiling": True,
    "tile_size": 16,
    "tile_overlap": 0.0,
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("diffusers_decode", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("checkpoint") / "vae", layers_per_block=0)


@pytest.fixture(scope="module")
def made(process: StageProcess, vae: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """The artifact of the process's first job, and its events."""
    return decode(process, vae, tmp_path_factory.mktemp("made"))


def decode_job(vae: Path, folder: Path, *, platform: str = "cpu", **parameters: object) -> Job:
    """A job that decodes two latent frames of two tiles."""
    store = Store(folder / "artifacts")
    parents = [Node("encode", {}, {}, {})]
    parents.append(Node("denoise", {}, {}, {"encode": parents[0].key}))
    write_tensors(folder / "latents", {"latents": random_latents(2, 1, 2)})
    publish(store, parents[0])
    publish(store, parents[1], (folder / "latents").read_bytes())
    node = Node("decode", PARAMETERS | parameters, {}, {"denoise": parents[1].key})
    return build_job(node, Checkpoint(vae.parent), store.root, CODE, {"platform": platform, "mesh": "auto"})


def decode(process: StageProcess, vae: Path, folder: Path) -> tuple[Path, list[Event]]:
    """The artifact of such a job, and its events."""
    job = decode_job(vae, folder)
    events = process.run(job)
    assert events[-1]["event"] == "result", events[-1]
    return Store(job.store).folder(job.node.artifact), events


def test_no_environment_stops_the_program_or_changes_a_bit(made: tuple[Path, list[Event]], vae: Path, tmp_path: Path):
    fresh = StageProcess("diffusers_decode", tmp_path / "log", {**os.environ, **HOSTILE})
    artifact, events = decode(fresh, vae, tmp_path)
    fresh.close()
    assert warnings_of(events) == [*IGNORED]
    frames = "frames.safetensors"
    assert (artifact / frames).read_bytes() == (made[0] / frames).read_bytes()


def test_a_job_makes_frames_and_counts_tiles_and_then_what_is_written(made: tuple[Path, list[Event]]):
    artifact, events = made
    assert read_tensors(artifact / "frames.safetensors")["frames"].shape == (1, 5, 16, 32, 3)
    counted = [(event["unit"], event["done"], event["total"]) for event in events if event["event"] == "progress"]
    assert counted == [("tile", 1, 2), ("tile", 2, 2), ("latent frame", 1, 2), ("latent frame", 2, 2)]


def test_the_artifact_says_which_diffusers_made_it(made: tuple[Path, list[Event]]):
    artifact, _ = made
    run = json.loads((artifact / RUN).read_text())
    assert {"torch", "diffusers"} <= set(run["versions"])
    assert run["device"] == "cpu"


def test_the_decoder_is_kept_for_the_next_job_and_gone_before_another_is_loaded(
    vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded, run = watch_loads(monkeypatch, DiffusersDecoder), edge.open_stage()
    num_loaded = []
    for dtype, overlap in (("float32", 0.0), ("float32", 0.5), ("bfloat16", 0.0)):
        job = decode_job(vae, tmp_path, platform="auto", dtype=dtype, tile_overlap=overlap)
        assert run(job, tmp_path, Report(lambda _event: None)) == {"device": "cpu"}
        num_loaded.append(len(loaded))
    assert num_loaded == [1, 1, 2]
