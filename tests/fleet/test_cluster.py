"""A connection to a cluster, and what becomes of a run whose cluster is gone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.local_cluster import cluster_environment, running_cluster
from tests.fleet.projects import LONG, NUM_STEPS, count_made, make_project, read_runs, run_doit, started
from tests.fleet.waiting import wait_for
from tests.project import PROJECT, set_defaults

pytestmark = [pytest.mark.processes, pytest.mark.fleet]
pytest.importorskip("ray", reason="the extra `fleet` is not installed")

_CONNECT = """
import ray, sys
from stages.errors import FleetError
from stages.fleet.cluster import Cluster
ray.__version__ = "1.0.0"
try:
    Cluster(sys.argv[1])
except FleetError as error:
    print(error)
"""


def test_when_the_head_is_lost_a_run_says_so_and_the_next_one_goes_on(tmp_path: Path):
    with running_cluster(1) as cluster:
        root = make_project(tmp_path, cluster, text=LONG, checkpoint_every="1")
        other = connect_as_another_version(cluster.address)
        with started(root) as process:
            wait_for(lambda: [*root.glob("artifacts/partial/denoise/*/state")])
            cluster.end(0)
            stdout, stderr = process.communicate()
    assert re.fullmatch(r'ray_address = ".*": .*[Vv]ersion mismatch.* Install the same versions .*\n', other), other
    assert process.returncode == 1
    assert (stdout + stderr).count("does not answer any more") == 1, stdout + stderr
    with running_cluster(1) as cluster:
        set_defaults(root, "machine", ray_address=cluster.address)
        second = run_doit(root)
    assert second.returncode == 0, second.stdout + second.stderr
    assert count_made(second.stdout) == {"denoise": 1, "decode": 1, "export": 1}
    (run,) = read_runs(root / "artifacts", "denoise")
    assert 0 < run["resumed_after_step"] <= NUM_STEPS


def connect_as_another_version(address: str) -> str:
    """What a process with another version of Ray is answered."""
    command = [sys.executable, "-c", _CONNECT, address]
    environment = cluster_environment()
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    return result.stdout
