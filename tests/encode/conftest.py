"""A small text side: the tokenizers and encoders of the checkpoint in the box."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import stages
from stages.encode.text_encoders import COMPONENTS


@pytest.fixture(scope="session")
def shapes() -> dict[str, Path]:
    """Folders of the built-in checkpoint's text components."""
    checkpoint = Path(stages.__file__).parent / "builtin" / "shapes"
    return {name: checkpoint / name for name in COMPONENTS}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch's threads wait for each other: beside another busy process two are six times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
