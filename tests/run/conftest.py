"""What tests of processes share: a store with frames, and workers that end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.run.worker import Workers
from stages.store.artifacts import Store
from tests.run.export_jobs import build_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return build_store(tmp_path)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path, tmp_path / "logs")
    yield workers
    workers.close()
