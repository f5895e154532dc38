"""What is known of the package's files, so that not every project of a test reads and parses them all."""

import tempfile
from functools import cache
from pathlib import Path

from stages.preflight.questions import PREFLIGHT
from stages.run.fingerprint import fingerprint
from stages.run.loading import load_build
from stages.store.stat_cache import STAT_CACHE, StatCache
from tests.project import copy_params


def know_package(root: Path) -> Path:
    """Put into a project's store what any run leaves there of the package's files, and give the project back.

    There is a store then, where none need have been.
    """
    store = root / "artifacts"
    store.mkdir(exist_ok=True)
    (store / STAT_CACHE).write_bytes(_stat_cache())
    return root


@cache
def _stat_cache() -> bytes:
    """Digests of the built-in checkpoint and of the code of all programs, as a store keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        build = load_build(copy_params(Path(folder)), {})
        file = build.store.root / STAT_CACHE
        known = StatCache(file)
        fingerprint(f"stages.{PREFLIGHT}", known)
        known.save()
        return file.read_bytes()
