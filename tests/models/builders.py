"""Commits of a hub, and what is said of a checkpoint that cannot be used."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.hub import fetch
from stages.models.places import resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40
WEIGHTS = "vae/diffusion_pytorch_model.safetensors"
# What a small hub has: a component with weights, one without, and what nobody reads.
FILES = {
    "README.md": b"# A model",
    "scheduler/scheduler_config.json": b"{}",
    "vae/config.json": b'{"scaling_factor": 1.0}',
    "vae/diffusion_pytorch_model.bin": b"another form",
    WEIGHTS: bytes(range(256)) * 4096,  # 1 MiB
}
LARGE = frozenset({WEIGHTS})


def ignore_progress(_done: int, _total: int) -> None:
    """Nothing is shown."""


def fetch_message(paths: Iterable[str] = FILES, repo: str = "org/model", commit: str = NEWER) -> str:
    """What is said of files that cannot be fetched."""
    with pytest.raises(CheckpointError) as error:
        fetch(repo, commit, paths, ignore_progress)
    return str(error.value)


def message(checkpoint: str, revision: str, root: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        resolve(checkpoint, revision, root)
    return str(error.value)
