"""The stage as a process: its messages when a checkpoint or the machine do not fit; and here: what it keeps."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.decode import edge
from stages.decode.decoder import Decoder
from stages.errors import CheckpointError
from stages.keys import Node
from stages.machine.executables import FOLDER
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.tensors.files import read_tensors, write_tensors
from tests.builders import CODE, build_job, publish
from tests.decode.builders import edit_config, random_latents, write_vae
from tests.devices import EIGHT_DEVICES
from tests.loads import watch_loads
from tests.quick_compiler import quick_programs
from tests.stage_process import HOSTILE, IGNORED, Event, StageProcess, warnings_of

pytestmark = pytest.mark.compiles

PARAMETERS = {
    "decoder": "native",
    "enable_tiling": False,
    "tile_size": 256,
    "tile_overlap": 0.25,
    "dtype": "float32",
}
QUICK_XLA = "--xla_cpu_use_fusion_emitters=false"  # of a process that compiles as the one beside it
COPY_AGAIN = "Download or copy the checkpoint again."
OTHER_CHECKPOINT = "Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("made") / "checkpoint" / "vae", layers_per_block=0).parent


class Made(NamedTuple):
    """What the process has made first of the checkpoint as it is."""

    store: Path
    frames: Path
    facts: dict[str, Any]  # run.json


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("decode", tmp_path_factory.mktemp("log") / "log", os.environ | {"XLA_FLAGS": QUICK_XLA})
    yield process
    process.close()


@pytest.fixture(scope="module")
def made(process: StageProcess, template: Path) -> Made:
    assert decode(process, template / "vae")[-1]["event"] == "result"
    (frames,) = artifacts(template / "vae")
    return Made(template.parent / "artifacts", frames, run_facts(template / "vae"))


class OnEight(NamedTuple):
    """What a process with eight devices says to its first two jobs, and makes of the second."""

    refusal: Event  # of a job for a TPU
    frames: Path
    facts: dict[str, Any]  # run.json


@pytest.fixture(scope="module")
def on_eight(template: Path, tmp_path_factory: pytest.TempPathFactory) -> OnEight:
    folder = tmp_path_factory.mktemp("eight")
    vae = Path(shutil.copytree(template, folder / "checkpoint")) / "vae"
    process = StageProcess("decode", folder / "log", os.environ | {"XLA_FLAGS": EIGHT_DEVICES["XLA_FLAGS"]})
    refusal = decode(process, vae, platform="tpu")[-1]
    assert decode(process, vae)[-1]["event"] == "result"
    process.close()
    (frames,) = artifacts(vae)
    return OnEight(refusal, frames, run_facts(vae))


@pytest.fixture
def vae(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "checkpoint")
    return tmp_path / "checkpoint" / "vae"


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """Names of the programs that are compiled or loaded here."""
    with quick_programs() as names:
        yield names


def decode_job(vae: Path, *, platform: str = "cpu", **parameters: object) -> Job:
    """A job that decodes two latent frames."""
    store = Store(vae.parent.parent / "artifacts")
    parents = [Node("encode", {}, {}, {})]
    parents.append(Node("denoise", {}, {}, {"encode": parents[0].key}))
    write_tensors(vae.parent / "latents", {"latents": random_latents(2, 1, 2)})
    publish(store, parents[0])
    publish(store, parents[1], (vae.parent / "latents").read_bytes())
    node = Node("decode", PARAMETERS | parameters, {}, {"denoise": parents[1].key})
    machine = {"platform": platform, "mesh": "auto"}
    return build_job(node, Checkpoint(vae.parent), store.root, CODE, machine)


def decode(process: StageProcess, vae: Path, *, platform: str = "cpu") -> list[Event]:
    """Events of such a job."""
    return process.run(decode_job(vae, platform=platform))


def artifacts(vae: Path) -> list[Path]:
    return list((vae.parent.parent / "artifacts").glob("decode/*/*.safetensors"))


def run_facts(vae: Path) -> dict[str, Any]:
    """What run.json says of how the one artifact was made."""
    (file,) = artifacts(vae)
    facts: dict[str, Any] = json.loads((file.parent / "run.json").read_text())
    return facts


def values(**changes: object) -> Callable[[Path], None]:
    return lambda vae: edit_config(vae, **changes)


def content(data: bytes) -> Callable[[Path], None]:
    return lambda vae: (vae / "config.json").write_bytes(data)  # type: ignore[return-value]


def weight(value: float, dtype: str = "float32") -> Callable[[Path], None]:
    """An edit that gives the last bias one value."""

    def edit(vae: Path) -> None:
        file = vae / "diffusion_pytorch_model.safetensors"
        tensors = load_file(file)
        tensors["decoder.conv_out.conv.bias"] = np.full(3, value, dtype)
        save_file(tensors, file)

    return edit


def test_a_job_makes_frames(made: Made):
    assert read_tensors(made.frames)["frames"].shape == (1, 5, 16, 32, 3)


def test_all_devices_take_part_and_make_the_same_frames(made: Made, on_eight: OnEight):
    """Two columns of latents; of eight devices two have one each."""
    assert (made.facts["num_devices"], on_eight.facts["num_devices"]) == (1, 2)
    frames, expected = (read_tensors(each.frames)["frames"].astype(np.float32) for each in (on_eight, made))
    np.testing.assert_allclose(frames, expected, atol=2**-8)  # bfloat16


def test_the_time_of_compiling_is_measured_apart(made: Made):
    assert set(made.facts["wall_s"]) == {"load", "compile", "decode"}
    assert set(made.facts["steady_s"]) == {"latent frame"}


def test_the_native_decoder_loads_neither_torch_nor_diffusers(made: Made):
    assert set(made.facts["versions"]) - {"libtpu"} == {"jax", "jaxlib", "numpy"}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (content(b'{"scaling_factor": NaN}'), "{file}: not JSON (NaN is no number). " + COPY_AGAIN),
        (content(b'{"scaling_factor": 1e400}'), "{file}: not JSON (1e400 is too large). " + COPY_AGAIN),
        (
            values(scaling_factor=10**40),
            "{file}: not JSON (1" + "0" * 40 + " is too large). " + COPY_AGAIN,
        ),
        (
            content(b"[" * 100_000),
            "{file}: not JSON (it is nested too deeply). " + COPY_AGAIN,
        ),
        (
            content(b'"\xff"'),
            "{file}: not JSON ('utf-8' codec can't decode byte 0xff in position 1: invalid start byte). " + COPY_AGAIN,
        ),
        (
            lambda vae: (vae / "config.json").unlink(),
            "{folder}: holds no config.json. There is diffusion_pytorch_model.safetensors. The component is "
            "incomplete: download or copy it again.",
        ),
        (
            values(scaling_factor=-1, layers_per_block="2"),
            "{file}: this checkpoint cannot be run:\n"
            "  `layers_per_block` is '2', not a whole number from 0 to 100\n"
            "  `scaling_factor` is -1, not a finite number above 0\n"
            "  " + OTHER_CHECKPOINT,
        ),
        (
            values(spatial_compression_ratio=8, latent_channels=64),
            "{file}: this checkpoint cannot be run:\n"
            "  `latent_channels` is 64, not 32\n"
            "  `spatial_compression_ratio` is 8, not 16\n"
            "  " + OTHER_CHECKPOINT,
        ),
        (
            weight(1, "int8"),
            "{folder}: weights must be F32, F16 or BF16, but decoder.conv_out.conv.bias is I8. "
            "Quantised weights are not supported; name another checkpoint in params/model.toml.",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_reported(
    process: StageProcess, vae: Path, edit: Callable[[Path], None], message: str
):
    edit(vae)
    assert decode(process, vae)[-1] == {
        "event": "error",
        "kind": "CheckpointError",
        "message": message.format(file=vae / "config.json", folder=vae),
    }
    assert not artifacts(vae)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frames_that_are_not_finite_are_not_published(process: StageProcess, made: Made, vae: Path, value: float):
    weight(value)(vae)
    shutil.copytree(made.store / FOLDER, vae.parent.parent / "artifacts" / FOLDER)  # the programs are the same
    assert decode(process, vae)[-1] == {
        "event": "error",
        "kind": "StageError",
        "message": f"frames of latent frame 0: 1536 of 1536 values are not finite; {vae} made them in float32. "
        "Use another checkpoint in params/model.toml.",
    }
    assert not artifacts(vae)


@pytest.mark.usefixtures("made")
def test_a_platform_that_is_not_there_is_reported(process: StageProcess, vae: Path, on_eight: OnEight):
    """By a process that has not begun to compute, and by one that has."""
    for error in (on_eight.refusal, decode(process, vae, platform="tpu")[-1]):
        assert (error["event"], error["kind"]) == ("error", "MeshError")
        assert error["message"].startswith('platform = "tpu": JAX finds no such device on this machine (')
        assert error["message"].endswith("a TPU also needs `pip install -e '.[tpu]'`.")


def test_no_environment_stops_the_stage_or_changes_a_bit(made: Made, vae: Path, tmp_path: Path):
    hostile = {**HOSTILE, "XLA_FLAGS": f"{HOSTILE['XLA_FLAGS']} {QUICK_XLA}"}
    fresh = StageProcess("decode", tmp_path / "log", {**os.environ, **hostile})
    events = decode(fresh, vae)
    fresh.close()
    assert events[-1]["event"] == "result"
    assert warnings_of(events) == [*IGNORED]
    (file,) = artifacts(vae)
    assert file.read_bytes() == made.frames.read_bytes()


def test_the_decoder_is_kept_for_the_next_job_and_gone_before_another_is_loaded(
    vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[str]
):
    loaded, run = watch_loads(monkeypatch, Decoder), edge.open_stage()
    counts = []
    for dtype, tiles in (("float32", False), ("float32", False), ("float32", True), ("bfloat16", False)):
        job = decode_job(vae, platform="auto", dtype=dtype, enable_tiling=tiles, tile_size=16, tile_overlap=0.0)
        run(job, tmp_path, Report(lambda _event: None))
        counts.append((len(loaded), len(compiled)))
    assert counts == [(1, 2), (1, 2), (1, 4), (2, 6)]  # two programs for each size: of the first frame, of the others


@pytest.mark.usefixtures("compiled")
def test_a_decoder_that_cannot_be_loaded_is_tried_again(vae: Path, tmp_path: Path):
    run, quiet = edge.open_stage(), Report(lambda _event: None)
    config = (vae / "config.json").rename(vae / "elsewhere")
    with pytest.raises(CheckpointError):
        run(decode_job(vae, platform="auto"), tmp_path, quiet)
    config.rename(vae / "config.json")
    assert run(decode_job(vae, platform="auto"), tmp_path, quiet)["num_devices"] == 1
