"""Shared by all tests: shapes in annotations are checked on every call; the network is never used."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests.once import make_once
from tests.project import ALL, copy_project, stages_run

os.environ["HF_HUB_OFFLINE"] = "1"
install_import_hook("stages", "beartype.beartype")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the default video has been made. Tests copy it."""

    def build(root: Path) -> None:
        assert stages_run(copy_project(root)) == ALL

    return make_once(tmp_path_factory, "built", build)
