"""The autoencoder's file is taken for what it is and for nothing else."""

import dataclasses
from pathlib import Path

import pytest
import torch

from training.shapes.boxes import boxes_phase
from training.shapes.loop import load_checkpoint
from training.shapes.models import build_vae
from training.shapes.trained_vae import adopt_vae, write_vae


def test_a_file_that_was_written_becomes_the_phases_checkpoint(tmp_path: Path) -> None:
    phase, file = boxes_phase(tmp_path / "work", seed=1), tmp_path / "vae.safetensors"
    digest = write_vae(build_vae(seed=2), phase, file)
    adopt_vae(build_vae(seed=3), phase, file, expected_sha256=digest)
    restored = build_vae(seed=4)
    assert load_checkpoint(phase, {"vae": restored}) == phase.num_steps
    rounded = build_vae(seed=2).bfloat16().float().state_dict()
    assert all(torch.equal(weight, rounded[name]) for name, weight in restored.state_dict().items())


def test_another_file_or_recipe_is_refused(tmp_path: Path) -> None:
    phase, file = boxes_phase(tmp_path / "work", seed=1), tmp_path / "vae.safetensors"
    digest = write_vae(build_vae(seed=2), phase, file)
    with pytest.raises(ValueError, match=f"vae.safetensors: its SHA-256 is {digest}, not 0000."):
        adopt_vae(build_vae(seed=3), phase, file, expected_sha256="0000")
    other = dataclasses.replace(phase, num_steps=7)
    with pytest.raises(ValueError, match=r"vae.safetensors: was made with .*1800.*, not with .*'num_steps': 7"):
        adopt_vae(build_vae(seed=3), other, file, expected_sha256=digest)
    assert not phase.checkpoint.exists()
