"""Shared by all tests: shapes in annotations are checked on every call; the network is never used."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests.once import make_once
from tests.project import ALL, PROJECT, copy_project, stages_run
from tests.remote.s3 import running_s3

gc.disable()  # until all tests are collected: in what they import there is no garbage, and much to look through
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads of torch that wait for each other sleep, here and in processes of tests. As torch has them, they spin: beside
# another busy process, 0.9 s of a core to encode a prompt that takes 0.07 s.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # where a test does not say otherwise (quick_compiler.py)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each of the hundreds of processes would compile the package anew
# those modules alone that have some: on every call of the rest it is half of the time that their tests take
WITH_SHAPES = [
    ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for path in PROJECT.glob("stages/**/*.py")
    if "jaxtyping" in path.read_text(encoding="utf-8")
]
install_import_hook(WITH_SHAPES, "beartype.beartype")
SLOW = ("compiles", "processes")  # marks, explained in pyproject.toml
FAULTS = "faults"  # likewise


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the default video has been made. Tests copy it."""

    def build(root: Path) -> None:
        assert stages_run(copy_project(root)) == ALL

    return make_once(tmp_path_factory, "built", build)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """The port of an S3 with a bucket, which is started when the first test asks."""
    with running_s3() as port:
        yield port


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests that wait for processes leave a seventh of the time unused."""
    return min((os.cpu_count() or 1) + 1, 5)


def pytest_collection_finish() -> None:
    """From now on garbage is collected, of what tests leave."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files of slow tests come first, those with most of them before all, so that none is begun when all else is done.

    Those that take minutes are left out unless they are asked for.

    The order is the same in each worker of pytest-xdist, as it demands.
    """
    if FAULTS not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker(FAULTS)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    num_slow = Counter(item.path for item in items if any(map(item.get_closest_marker, SLOW)))
    items.sort(key=lambda item: -num_slow[item.path])
