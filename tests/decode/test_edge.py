"""The stage as a process: its messages when a checkpoint or the machine do not fit; and here: what it keeps."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.decode import edge
from stages.decode.decoder import Decoder
from stages.errors import CheckpointError
from stages.keys import Node
from stages.machine.executables import Executable, Executables, Program
from stages.models.checkpoint import Checkpoint
from stages.run.job import Job
from stages.run.report import Report
from stages.store.artifacts import Store
from stages.tensors.files import read_tensors, write_tensors
from tests.builders import CODE, build_job, publish
from tests.decode.builders import edit_config, random_latents, write_vae
from tests.loads import watch_loads
from tests.stage_process import HOSTILE, IGNORED, Event, StageProcess, warnings_of

pytestmark = pytest.mark.compiles

PARAMETERS = {
    "decoder": "native",
    "enable_tiling": False,
    "tile_size": 256,
    "tile_overlap": 0.25,
    "dtype": "float32",
}
EIGHT_DEVICES = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
COPY_AGAIN = "Download or copy the checkpoint again."
OTHER_CHECKPOINT = "Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("checkpoint") / "vae", layers_per_block=0).parent


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StageProcess]:
    process = StageProcess("decode", tmp_path_factory.mktemp("log") / "log")
    yield process
    process.close()


@pytest.fixture
def vae(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "checkpoint")
    return tmp_path / "checkpoint" / "vae"


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


def test_a_job_makes_frames(process: StageProcess, vae: Path):
    events = decode(process, vae)
    assert events[-1]["event"] == "result", events[-1]
    (file,) = artifacts(vae)
    assert read_tensors(file)["frames"].shape == (1, 5, 16, 32, 3)


def test_all_devices_take_part_and_make_the_same_frames(process: StageProcess, vae: Path, tmp_path: Path):
    """Two columns of latents; of eight devices two have one each."""
    decode(process, vae)
    (file,) = artifacts(vae)
    frames = read_tensors(file)["frames"].astype(np.float32)
    assert run_facts(vae)["num_devices"] == 1
    eight = StageProcess("decode", tmp_path / "log", os.environ | EIGHT_DEVICES)
    assert decode(eight, vae)[-1]["event"] == "result"
    eight.close()
    assert run_facts(vae)["num_devices"] == 2
    np.testing.assert_allclose(read_tensors(file)["frames"].astype(np.float32), frames, atol=2**-8)  # bfloat16


def test_the_time_of_compiling_is_measured_apart(process: StageProcess, vae: Path):
    decode(process, vae)
    facts = run_facts(vae)
    assert set(facts["wall_s"]) == {"load", "compile", "decode"}
    assert set(facts["steady_s"]) == {"latent frame"}


def test_the_native_decoder_loads_neither_torch_nor_diffusers(vae: Path, tmp_path: Path):
    process = StageProcess("decode", tmp_path / "log")
    assert decode(process, vae)[-1]["event"] == "result"
    process.close()
    assert set(run_facts(vae)["versions"]) - {"libtpu"} == {"jax", "jaxlib", "numpy"}


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
def test_frames_that_are_not_finite_are_not_published(process: StageProcess, vae: Path, value: float):
    weight(value)(vae)
    assert decode(process, vae)[-1] == {
        "event": "error",
        "kind": "StageError",
        "message": f"frames of latent frame 0: 1536 of 1536 values are not finite; {vae} made them in float32. "
        "Use another checkpoint in params/model.toml.",
    }
    assert not artifacts(vae)


def test_a_platform_that_is_not_there_is_reported(process: StageProcess, vae: Path, tmp_path: Path):
    """In a process that has not begun to compute, and in one that may have."""
    fresh = StageProcess("decode", tmp_path / "log")
    for running in (fresh, process):
        error = decode(running, vae, platform="tpu")[-1]
        assert (error["event"], error["kind"]) == ("error", "MeshError")
        assert error["message"].startswith('platform = "tpu": JAX finds no such device on this machine (')
        assert error["message"].endswith("a TPU also needs `pip install -e '.[tpu]'`.")
    fresh.close()


def test_no_environment_stops_the_stage_or_changes_a_bit(process: StageProcess, vae: Path, tmp_path: Path):
    fresh = StageProcess("decode", tmp_path / "log", {**os.environ, **HOSTILE})
    frames = []
    for running in (process, fresh):
        events = decode(running, vae)
        assert events[-1]["event"] == "result"
        (file,) = artifacts(vae)
        frames.append(file.read_bytes())
        shutil.rmtree(vae.parent.parent / "artifacts")
    fresh.close()
    assert warnings_of(events) == [*IGNORED]
    assert frames[0] == frames[1]


def test_the_decoder_is_kept_for_the_next_job_and_gone_before_another_is_loaded(
    vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded, run = watch_loads(monkeypatch, Decoder), edge.open_stage()
    compiled = watch_compiles(monkeypatch)
    counts = []
    for dtype, tiles in (("float32", False), ("float32", False), ("float32", True), ("bfloat16", False)):
        job = decode_job(vae, platform="auto", dtype=dtype, enable_tiling=tiles, tile_size=16, tile_overlap=0.0)
        run(job, tmp_path, Report(lambda _event: None))
        counts.append((len(loaded), len(compiled)))
    assert counts == [(1, 2), (1, 2), (1, 4), (2, 6)]  # two programs for each size: of the first frame, of the others


def watch_compiles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the programs that are compiled or loaded from now on."""
    names: list[str] = []
    compile_program = Executables.compile

    def compile_watched(self: Executables, program: Program) -> Executable:
        names.append(program.name)
        return compile_program(self, program)

    monkeypatch.setattr(Executables, "compile", compile_watched)
    return names


def test_a_decoder_that_cannot_be_loaded_is_tried_again(vae: Path, tmp_path: Path):
    run, quiet = edge.open_stage(), Report(lambda _event: None)
    config = (vae / "config.json").rename(vae / "elsewhere")
    with pytest.raises(CheckpointError):
        run(decode_job(vae, platform="auto"), tmp_path, quiet)
    config.rename(vae / "config.json")
    assert run(decode_job(vae, platform="auto"), tmp_path, quiet)["num_devices"] == 1
