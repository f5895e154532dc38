"""A small text side: the tokenizers and encoders of the checkpoint in the box, and copies of them to damage."""

from pathlib import Path

import pytest

from stages.models.checkpoint import Checkpoint
from stages.pipeline.encode import STAGE
from tests.project import SHAPES, copy_checkpoint
from tests.threads import one_thread  # noqa: F401 (pytest finds it here)


@pytest.fixture(scope="session")
def shapes() -> Checkpoint:
    """The built-in checkpoint."""
    return Checkpoint(SHAPES)


@pytest.fixture
def copied(tmp_path: Path) -> Checkpoint:
    """Its text components in a folder of their own, for tests that damage them."""
    return Checkpoint(copy_checkpoint(tmp_path / "checkpoint", *(component.name for component in STAGE.components)))
