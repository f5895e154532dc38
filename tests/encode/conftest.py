"""A small text side: the tokenizers and encoders of the checkpoint in the box."""

from pathlib import Path

import pytest

import stages
from stages.encode.text_encoders import COMPONENTS
from tests.threads import one_thread  # noqa: F401 (pytest finds it here)


@pytest.fixture(scope="session")
def shapes() -> dict[str, Path]:
    """Folders of the built-in checkpoint's text components."""
    checkpoint = Path(stages.__file__).parent / "models" / "builtin" / "shapes"
    return {name: checkpoint / name for name in COMPONENTS}
