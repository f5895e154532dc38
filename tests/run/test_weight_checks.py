"""Weights that cannot be used are known before a process is started for them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from stages.models.hub_cache import find_paths
from stages.models.places import resolve
from stages.pipeline.decode import VAE
from stages.pipeline.stage import ACCELERATOR
from stages.run import weight_checks
from stages.run.checks import find_faults
from stages.run.weight_checks import find_weight_faults
from tests.builders import PIPELINE
from tests.chains import MACHINE, build_chain, faults_of
from tests.hub_repo import COMMIT, Repo
from tests.hub_server import HubServer, ask_here, serve
from tests.project import SHAPES, copy_checkpoint

STEM = "diffusion_pytorch_model.safetensors"
ANCHORS = ("decoder.conv_in.conv.weight",)


def faults_of_vae(folder: Path, dtype: str = "float32", platform: str = "cpu") -> list[str]:
    chain = build_chain(folder, {**MACHINE, "platform": platform})
    return find_weight_faults(
        chain, VAE, ACCELERATOR, parameter="decode.dtype", dtype=dtype, anchors=ANCHORS, prefix="decoder."
    )


def test_weights_that_fit_have_no_fault():
    assert faults_of_vae(SHAPES) == []


@pytest.mark.parametrize("component", ["text_encoder/model.safetensors", f"transformer/{STEM}", f"vae/{STEM}"])
def test_a_truncated_file_of_any_stage_is_found_with_the_first(tmp_path: Path, component: str):
    path = copy_checkpoint(tmp_path / "model") / component
    path.write_bytes(path.read_bytes()[:-1])
    (fault,) = faults_of(tmp_path / "model")
    assert fault.startswith(f"{path}: not a whole safetensors file (it has ")


@pytest.mark.parametrize("component", [f"transformer/{STEM}", f"vae/{STEM}"])
def test_names_of_another_tool_are_told_by_their_prefix(tmp_path: Path, component: str):
    path = copy_checkpoint(tmp_path / "model") / component
    save_file({f"model.{name}": tensor for name, tensor in load_file(path).items()}, path)
    (fault,) = faults_of(tmp_path / "model")
    assert fault.startswith(f"{path.parent}: the names of its tensors begin with `model.`, as another tool writes them")


def test_memory_is_compared_with_what_is_read_alone(monkeypatch: pytest.MonkeyPatch):
    sizes = {name: tensor.size for name, tensor in load_file(SHAPES / "vae" / STEM).items()}
    needed = 4 * sum(size for name, size in sizes.items() if name.startswith("decoder."))
    assert needed < 4 * sum(sizes.values())
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: needed)
    assert faults_of_vae(SHAPES) == []
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: needed - 1)
    (fault,) = faults_of_vae(SHAPES)
    assert "this machine has" in fault


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that has the built-in checkpoint as `org/shapes`, of which nothing is cached."""
    with serve({"org/shapes": Repo.of_folder(SHAPES)}) as hub:
        ask_here(hub, tmp_path / "hub", monkeypatch)
        yield hub


def faults_on_hub(platform: str = "cpu") -> list[str]:
    chain = replace(build_chain(SHAPES, {**MACHINE, "platform": platform}), checkpoint=resolve("org/shapes", COMMIT))
    return find_weight_faults(
        chain, VAE, ACCELERATOR, parameter="decode.dtype", dtype="float32", anchors=ANCHORS, prefix="decoder."
    )


@pytest.mark.usefixtures("server")
def test_weights_on_the_hub_are_compared_by_their_headers_before_they_come(monkeypatch: pytest.MonkeyPatch):
    sizes = {name: tensor.size for name, tensor in load_file(SHAPES / "vae" / STEM).items()}
    needed = 4 * sum(size for name, size in sizes.items() if name.startswith("decoder."))
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: needed)
    assert faults_on_hub() == []
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: needed - 1)
    (fault,) = faults_on_hub()
    assert "vae: its weights take 0.0 GiB in float32, and this machine has 0.0 GiB of memory. Set decode.dtype" in fault
    assert find_paths("org/shapes", COMMIT, None) == {}


def test_no_header_is_read_where_weights_of_their_size_fit_in_any_case(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
):
    most_bytes = 2 * (SHAPES / "vae" / STEM).stat().st_size
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: most_bytes)
    assert faults_on_hub() == []
    assert server.sent_bytes == {}


def test_no_header_is_read_for_an_accelerator(server: HubServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: 1)
    assert faults_on_hub("tpu") == []
    assert server.sent_bytes == {}


@pytest.mark.parametrize(("component", "stage"), [("text_encoder", "encode"), ("transformer", "denoise")])
@pytest.mark.usefixtures("server")
def test_weights_of_every_stage_are_compared_before_they_come(
    monkeypatch: pytest.MonkeyPatch, component: str, stage: str
):
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: 1)
    chain = replace(build_chain(SHAPES), checkpoint=resolve("org/shapes", COMMIT))
    faults = find_faults(chain, PIPELINE, stage)
    assert [fault for fault in faults if f"{component}: its weights take " in fault]
    assert not [path for path in find_paths("org/shapes", COMMIT, None) if path.endswith(".safetensors")]


def test_of_an_accelerator_nobody_knows_the_memory_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: 1)
    assert faults_of_vae(SHAPES, platform="tpu") == []
    monkeypatch.setattr(weight_checks, "find_device_files", lambda: ["/dev/accel0"])
    assert faults_of_vae(SHAPES, platform="auto") == []
    monkeypatch.setattr(weight_checks, "find_device_files", list)
    assert faults_of_vae(SHAPES, platform="auto")
