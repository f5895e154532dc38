"""The program as a process: it takes decode over, for the decoder that the node names."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stages.pipeline.programs import INSTALL_FORK

from stages.diffusers_decode.edge import load_decoder
from stages.errors import StageError
from stages.keys import Node
from stages.models.checkpoint import Checkpoint
from stages.store.artifacts import RUN, Store
from stages.tensors.files import read_tensors, write_tensors
from tests.builders import CODE, build_job, publish
from tests.decode.builders import DEVICE, SMALL, load_config, random_latents, write_vae
from tests.stage_process import Event, StageProcess

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


def decode(process: StageProcess, folder: Path) -> tuple[Path, list[Event]]:
    """The artifact of a job that decodes two latent frames of two tiles, and its events."""
    store = Store(folder / "artifacts")
    vae = write_vae(folder / "checkpoint" / "vae", layers_per_block=0)
    parents = [Node("encode", {}, {}, {})]
    parents.append(Node("denoise", {}, {}, {"encode": parents[0].key}))
    write_tensors(folder / "latents", {"latents": random_latents(2, 1, 2)})
    publish(store, parents[0])
    publish(store, parents[1], (folder / "latents").read_bytes())
    node = Node("decode", PARAMETERS, {}, {"denoise": parents[1].key})
    machine = {"platform": "cpu", "mesh": "auto"}
    events = process.run(build_job(node, Checkpoint(vae.parent), store.root, CODE, machine))
    return store.folder(node.artifact), events


def test_a_job_makes_frames_and_tells_tiles_and_then_what_is_written(process: StageProcess, tmp_path: Path):
    artifact, events = decode(process, tmp_path)
    assert events[-1]["event"] == "result", events[-1]
    assert read_tensors(artifact / "frames.safetensors")["frames"].shape == (1, 5, 16, 32, 3)
    told = [(event["unit"], event["done"], event["total"]) for event in events if event["event"] == "progress"]
    assert told == [("tile", 1, 2), ("tile", 2, 2), ("latent frame", 1, 2), ("latent frame", 2, 2)]


def test_the_artifact_says_which_diffusers_made_it(process: StageProcess, tmp_path: Path):
    artifact, _ = decode(process, tmp_path)
    run = json.loads((artifact / RUN).read_text())
    assert {"torch", "diffusers"} <= set(run["versions"])
    assert run["device"] == "cpu"


@pytest.mark.parametrize("name", ["diffusers-tpu", "diffusers-tpu-framewise"])
def test_a_fork_that_cannot_be_imported_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    folder = write_vae(tmp_path / "vae", **SMALL)
    missing = "diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15_flax"
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "stages.diffusers_decode.flax_decoder", raising=False)
    with pytest.raises(StageError) as error:
        load_decoder(name, folder, load_config(folder), "float32", [DEVICE])
    assert str(error.value) == (
        f'decode.decoder = "{name}": the installed diffusers has no such VAE (import of {missing} halted; None in '
        f"sys.modules). Install the fork in its place: {INSTALL_FORK}\n"
        "  docs/diffusers-tpu.md says more. The other decoders need no such thing."
    )
