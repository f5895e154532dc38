"""The library that makes calls fail, once for all tests here."""

from pathlib import Path

import pytest

from tests.faults.shim import Shim, build_shim


@pytest.fixture
def shim(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """It watches the folder `artifacts` of the test's own."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    return Shim(build_shim(tmp_path_factory), tmp_path / "control", folder)
