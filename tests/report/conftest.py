"""One project with a report, for all tests of a file that only read it."""

from pathlib import Path

import pytest

from tests.once import make_once
from tests.report.reports import build_project, make_all, report


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ten videos, two of them drafts, one that is not made yet, and their report. Not to be changed."""

    def build(root: Path) -> None:
        make_all(build_project(root))
        report(root)

    return make_once(tmp_path_factory, "reported", build)
