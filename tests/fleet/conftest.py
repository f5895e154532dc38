"""What tests of the fleet share: without Ray, and without a cluster that starts, they are skipped."""

from collections.abc import Iterator

import pytest

from tests.fleet.local_cluster import LocalCluster, running_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster of three nodes with one CPU each, of a module's own."""
    pytest.importorskip("ray", reason="the extra `fleet` is not installed")
    with running_cluster(3) as running:
        yield running
