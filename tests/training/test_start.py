"""The file that the autoencoder's training starts from is the one that is meant."""

from pathlib import Path

import pytest
import torch

from training.shapes.models import build_vae
from training.shapes.start import FILE, load_start


def test_every_weight_comes_from_the_file() -> None:
    first, second = build_vae(seed=1), build_vae(seed=2)
    load_start(first)
    load_start(second)
    weights = second.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in first.state_dict().items())


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "vae.safetensors"
    other.write_bytes(FILE.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"vae.safetensors: its SHA-256 is .*, not 7375cb"):
        load_start(build_vae(seed=1), other)
