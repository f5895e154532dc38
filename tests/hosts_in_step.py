"""What a host does in tests/test_hosts.py: a program, because each host is a process.

    python -m tests.hosts_in_step

Joins the hosts that its environment names as GKE does, begins jobs with them, and prints how each went as JSON. In the
last, host 1 ends without a word.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict

import jax

from stages.devices import pick_devices
from stages.errors import CheckpointError, StagesError
from stages.hosts import Hosts, find_place, join

HEARTBEAT_S = 10  # the shortest that JAX takes
PATIENCE_S = 5


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def begin(hosts: Hosts, name: str, work: Callable[[], None] = lambda: None, **facts: str) -> None:
    """One job; prints what it was told."""
    try:
        with hosts.preparing(name, {"node": "n", **facts}):
            work()
        hosts.require_work(jax.devices())
        tell(job=name, error=None)
    except StagesError as error:
        tell(job=name, error=f"{type(error).__name__}: {error}")


def main() -> None:
    place = find_place("auto", platform="auto")
    assert place is not None
    hosts = join(place, heartbeat_s=HEARTBEAT_S)
    tell(place=asdict(place), picked=len(pick_devices("auto")), own=len(jax.local_devices()))
    hosts = Hosts(hosts.index, hosts.count, patience_s=PATIENCE_S)

    def fail() -> None:
        if hosts.index == 1:
            raise CheckpointError("weights are missing")

    begin(hosts, "the same")
    begin(hosts, "another", mesh="1x1x8", code=f"c{hosts.index}")
    begin(hosts, "failing", fail)
    begin(hosts, "after that")
    if hosts.index == 0:
        begin(hosts, "alone")
        time.sleep(20 * HEARTBEAT_S)
    else:
        time.sleep(1.5 * PATIENCE_S)
        os._exit(0)


if __name__ == "__main__":
    main()
