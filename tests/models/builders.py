"""Commits of a hub, and what is said of a checkpoint that cannot be used."""

from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.checkpoint import resolve

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40


def message(checkpoint: str, revision: str, root: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        resolve(checkpoint, revision, root)
    return str(error.value)
