"""Torch on one thread for all tests of this folder; eight virtual devices for those that share what they computed."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.devices import EIGHT_DEVICES, run_python
from tests.once import make_once
from tests.threads import one_thread  # noqa: F401 (pytest finds it here)

Computed: TypeAlias = tuple[dict[str, np.ndarray], list[dict[str, Any]]]  # latents; what was printed


@pytest.fixture(scope="session")
def eight_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model that eight devices can share."""
    # not at the top: diffusers takes seconds
    from tests.denoise.builders import EIGHT_HEADS, write_checkpoint  # noqa: PLC0415

    return make_once(tmp_path_factory, "eight-heads", lambda folder: write_checkpoint(folder, EIGHT_HEADS))


@pytest.fixture(scope="session")
def eight(eight_heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    """What eight devices of one process make of it."""

    def compute(folder: Path) -> None:
        lean = ["-m", "tests.lean_program", "stages.denoise"]
        program = [*lean, "tests.denoise.eight_devices", eight_heads, folder / "latents.npz"]
        (folder / "printed").write_text(run_python(*program, settings=EIGHT_DEVICES))

    folder = make_once(tmp_path_factory, "eight-devices", compute)
    with np.load(folder / "latents.npz") as latents:
        return dict(latents), [json.loads(line) for line in (folder / "printed").read_text().splitlines()]
