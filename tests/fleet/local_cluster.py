"""A Ray cluster of several nodes on this machine's loopback: `python -m tests.fleet.local_cluster NODE...`.

A NODE is JSON: how it differs from one with a CPU.

Prints its address, then obeys lines on stdin: `end N` kills node N, `add` starts one more, `end 0` kills the head, and
`leave N S` says that node N will be preempted in S seconds. Ends with its stdin. In a process of its own, because Ray
keeps much in the process that starts it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.fleet.needs import RANK, SLICE, TOPOLOGY
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

    def give_notice(self, number: int, notice_s: int) -> None:
        """Let Ray know that a node is about to be preempted."""
        self._ask(f"leave {number} {notice_s}")

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
def running_cluster(num_nodes: int, *more: Mapping[str, Any], **variables: str) -> Iterator[LocalCluster]:
    """A cluster for the time of the block.

    Args:
        num_nodes: with a CPU each.
        more: options of further nodes, by which they differ from those. The first of all nodes is the head.
        variables: of its processes' environment.
    """
    nodes = [*[{}] * num_nodes, *more]
    folder = tempfile.mkdtemp(prefix="r-", dir="/tmp")  # names of sockets are short
    cache = Path(folder) / "cache"
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, *map(json.dumps, nodes)],
        cwd=PROJECT,
        env=cluster_environment(RAY_TMPDIR=folder, XDG_CACHE_HOME=str(cache), **variables),
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


def slice_hosts(name: str) -> list[Mapping[str, Any]]:
    """Options of two nodes, as Ray finds them on the hosts of a slice, with a chip each. Host 1 comes first."""
    return [{"resources": {"TPU": 1}, "labels": {SLICE: name, TOPOLOGY: "1x2", RANK: rank}} for rank in ("1", "0")]


def _serve(options: Sequence[dict[str, Any]]) -> None:
    from ray.cluster_utils import Cluster  # noqa: PLC0415 (of no use to those who import `running_cluster`)

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what Ray prints
    node: dict[str, Any] = {
        "num_cpus": 1,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": _OBJECT_STORE_BYTES,
        "include_dashboard": False,
    }
    cluster = Cluster()
    nodes = [_add(cluster, node | each) for each in options]
    print(cluster.address, file=answers)
    for order in sys.stdin:
        if order.startswith("end "):
            cluster.remove_node(nodes[int(order.split()[1])], allow_graceful=False)
        elif order.startswith("leave "):
            number, notice_s = map(int, order.split()[1:])
            _give_notice(cluster, nodes[number], notice_s)
        else:
            nodes.append(_add(cluster, node))
        print("done", file=answers)
    cluster.shutdown()


def _give_notice(cluster: Any, node: Any, notice_s: int) -> None:
    """As `ray start --block` does when it is asked to end."""
    from ray._raylet import GcsClient  # noqa: PLC0415
    from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION  # noqa: PLC0415

    deadline_ms = int((time.time() + notice_s) * 1000)
    GcsClient(address=cluster.address).drain_node(node.node_id, DRAIN_NODE_REASON_PREEMPTION, "a test", deadline_ms)


def _add(cluster: Any, options: dict[str, Any]) -> Any:
    """One more node; the first is the head. On a busy machine one may not start within Ray's 30 s."""
    for _ in range(_MAX_STARTS - 1):
        with suppress(Exception):
            return cluster.add_node(**options)
    return cluster.add_node(**options)


if __name__ == "__main__":
    _serve([*map(json.loads, sys.argv[1:])])
