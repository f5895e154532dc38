"""Weights that cannot be used are known before a process is started for them."""

from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from stages.pipeline.decode import VAE
from stages.pipeline.stage import ACCELERATOR
from stages.run import weight_checks
from stages.run.weight_checks import find_weight_faults
from tests.chains import MACHINE, build_chain, faults_of
from tests.project import SHAPES, copy_checkpoint

STEM = "diffusion_pytorch_model.safetensors"


def faults_of_vae(folder: Path, dtype: str = "float32", platform: str = "cpu") -> list[str]:
    chain = build_chain(folder, {**MACHINE, "platform": platform})
    anchors = ("decoder.conv_in.conv.weight",)
    return find_weight_faults(
        chain, VAE, ACCELERATOR, parameter="decode.dtype", dtype=dtype, anchors=anchors, prefix="decoder."
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


def test_of_an_accelerator_nobody_knows_the_memory_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_checks, "host_memory_bytes", lambda: 1)
    assert faults_of_vae(SHAPES, platform="tpu") == []
    monkeypatch.setattr(weight_checks, "find_device_files", lambda: ["/dev/accel0"])
    assert faults_of_vae(SHAPES, platform="auto") == []
    monkeypatch.setattr(weight_checks, "find_device_files", list)
    assert faults_of_vae(SHAPES, platform="auto")
