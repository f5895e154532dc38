"""The files that the training starts from are those that are meant."""

from pathlib import Path

import pytest
import torch

from training.shapes.earlier import FOLDER, load_earlier
from training.shapes.models import build_dit, build_vae


def test_every_weight_comes_from_the_file() -> None:
    for build, name in ((build_vae, "vae"), (build_dit, "dit")):
        first, second = build(seed=1), build(seed=2)
        load_earlier(first, name)
        load_earlier(second, name)
        weights = second.state_dict()
        assert all(torch.equal(weight, weights[name]) for name, weight in first.state_dict().items())


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vae.safetensors").write_bytes((FOLDER / "vae.safetensors").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"vae.safetensors: its SHA-256 is .*, not 7375cb"):
        load_earlier(build_vae(seed=1), "vae", tmp_path)


def test_another_module_is_refused() -> None:
    with pytest.raises(ValueError, match="its weights are not those that are trained"):
        load_earlier(build_dit(seed=1, num_layers=2), "dit")
