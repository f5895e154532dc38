"""A Ray cluster of several nodes on this machine's loopback: `python -m tests.fleet.local_cluster NODES CPUS`.

Prints its address, then obeys lines on stdin: `end N` kills node N, `add` starts one more, `end 0` kills the head. Ends
with its stdin. In a process of its own, because Ray keeps much in the process that starts it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.project import PROJECT, environment

# Every process of Ray then uses 127.0.0.1 alone, whatever other addresses the machine has.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_MAX_STARTS = 5  # of a node
_OBJECT_STORE_BYTES = 80 << 20  # nothing of ours is in it; the least that Ray takes


@dataclass(frozen=True)
class LocalCluster:
    """A cluster that runs: the address of its head, the folder that its nodes share, and that of hosts' own stores."""

    address: str
    folder: Path
    cache: Path
    _process: "subprocess.Popen[str]"

    def end(self, number: int) -> None:
        """Kill all processes of a node; 0 is the head."""
        self._ask(f"end {number}")

    def add(self) -> None:
        """Start one more node."""
        self._ask("add")

    def find(self, pattern: str) -> list[Path]:
        """Files of what has travelled to its nodes."""
        return [*self.folder.glob(f"**/session_2*/**/{pattern}")]

    def _ask(self, order: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(order, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"


def cluster_environment(**more: str) -> Mapping[str, str]:
    """The variables of a process that uses the cluster."""
    return {**environment(), **LOOPBACK, **more}


@contextmanager
def running_cluster(num_nodes: int, num_cpus: int = 1) -> Iterator[LocalCluster]:
    """A cluster for the time of the block."""
    folder = tempfile.mkdtemp(prefix="r-", dir="/tmp")  # names of sockets are short
    cache = Path(folder) / "cache"
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, str(num_nodes), str(num_cpus)],
        cwd=PROJECT,
        env=cluster_environment(RAY_TMPDIR=folder, XDG_CACHE_HOME=str(cache)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "the cluster has not started"
        yield LocalCluster(address, Path(folder), cache, process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def _serve(num_nodes: int, num_cpus: int) -> None:
    from ray.cluster_utils import Cluster  # noqa: PLC0415 (of no use to those who import `running_cluster`)

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints
    node: dict[str, Any] = {
        "num_cpus": num_cpus,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": _OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    cluster = Cluster()
    nodes = [_add(cluster, node) for _ in range(num_nodes)]
    print(cluster.address, file=answers)
    for order in sys.stdin:
        if order.startswith("end "):
            cluster.remove_node(nodes[int(order.split()[1])], allow_graceful=False)
        else:
            nodes.append(_add(cluster, node))
        print("done", file=answers)
    cluster.shutdown()


def _add(cluster: Any, options: dict[str, Any]) -> Any:
    """One more node; the first is the head. On a busy machine one may not start within Ray's 30 s."""
    for _ in range(_MAX_STARTS - 1):
        with suppress(Exception):
            return cluster.add_node(**options)
    return cluster.add_node(**options)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
