"""What tests of processes share: a store with frames, and workers that end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.keys import Node
from stages.run.worker import Workers
from stages.store.artifacts import Store
from stages.tensors.files import write_tensors
from tests.builders import publish
from tests.run.export_jobs import FRAMES


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the lineage of one video up to its frames."""
    store = Store(tmp_path / "artifacts")
    parent = Node("encode", {"prompt": "x"}, {}, {})
    publish(store, parent)
    for stage in ("denoise", "decode"):
        parent = Node(stage, {}, {}, {parent.stage: parent.key})
        write_tensors(tmp_path / "frames", {"frames": FRAMES})
        publish(store, parent, (tmp_path / "frames").read_bytes())
    return store


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(tmp_path, tmp_path / "logs")
    yield workers
    workers.close()
