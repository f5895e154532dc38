"""Torch on one thread for all tests of this folder; eight virtual devices for those that share what they computed."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.several_hosts import host_environment, run_on_hosts
from tests.threads import one_thread  # noqa: F401 (pytest finds it here)

Computed: TypeAlias = tuple[dict[str, np.ndarray], list[dict[str, Any]]]  # latents; what was printed


@pytest.fixture(scope="session")
def eight_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy model that eight devices can share."""
    # not at the top: diffusers takes seconds
    from tests.denoise.builders import EIGHT_HEADS, write_checkpoint  # noqa: PLC0415

    return write_checkpoint(tmp_path_factory.mktemp("eight") / "transformer", EIGHT_HEADS)


@pytest.fixture(scope="session")
def eight(eight_heads: Path) -> Computed:
    """What eight devices of one process make of it."""
    out = eight_heads.parent / "latents.npz"
    arguments = [str(eight_heads), str(out)]
    (result,) = run_on_hosts("tests.denoise.eight_devices", [arguments], [host_environment(num_devices=8)])
    assert result.returncode == 0, result.stderr
    with np.load(out) as latents:
        return dict(latents), [json.loads(line) for line in result.stdout.splitlines()]
