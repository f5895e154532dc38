"""The file of a finished phase is taken for what it is and for nothing else."""

import dataclasses
from pathlib import Path

import pytest
import torch

from training.shapes.boxes import boxes_phase
from training.shapes.finished import SHA256, read_finished, write_finished
from training.shapes.loop import Phase
from training.shapes.models import build_vae
from training.shapes.recipe import adopt_finished, restore_vae

WEIGHTS = {"a": torch.linspace(0, 1, 12).view(3, 4), "b": torch.ones(2)}


def test_weights_come_back_as_they_are_stored(tmp_path: Path) -> None:
    phase = Phase("vae", 7, 1, tmp_path, {"lr": 0.1})
    digest = write_finished(WEIGHTS, phase, tmp_path)
    found = read_finished(phase, tmp_path, expected={"vae": digest})
    assert all(torch.equal(found[name], weight.bfloat16().float()) for name, weight in WEIGHTS.items())


def test_another_file_or_recipe_is_refused(tmp_path: Path) -> None:
    phase = Phase("vae", 7, 1, tmp_path, {"lr": 0.1})
    digest = write_finished(WEIGHTS, phase, tmp_path)
    with pytest.raises(ValueError, match=f"vae.safetensors: its SHA-256 is {digest}, not 0000."):
        read_finished(phase, tmp_path, expected={"vae": "0000"})
    other = dataclasses.replace(phase, num_steps=8)
    with pytest.raises(ValueError, match=r"vae.safetensors: was made with .*'num_steps': 7.*, not with .*: 8"):
        read_finished(other, tmp_path, expected={"vae": digest})


def test_the_phases_that_are_here_become_checkpoints_that_later_phases_start_from(tmp_path: Path) -> None:
    adopt_finished(list(SHA256), work=tmp_path)
    assert (tmp_path / "vae.pt").exists()
    restored = restore_vae(tmp_path, with_decoder=False).state_dict()
    stored = read_finished(boxes_phase(tmp_path, seed=101))
    assert stored.keys() == build_vae(seed=1).state_dict().keys()
    assert all(torch.equal(restored[name], weight) for name, weight in stored.items())
