"""What a host does in tests/machine/test_host_protocol.py: a program, because each host is a process.

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

from stages.errors import CheckpointError, StagesError
from stages.machine.devices import pick_devices
from stages.machine.host_discovery import find_place
from stages.machine.host_protocol import Hosts, join
from stages.machine.jax_internals import key_value_client

HEARTBEAT_S = 10  # the shortest that JAX takes
BEGIN_TIMEOUT_S = 3
LOAD_S = 2
START = bytes(range(256)) * (5 << 12)  # 5 MiB, and gRPC takes messages of 4


def show(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def begin(
    hosts: Hosts, number: int, name: str, work: Callable[[], None] = lambda: None, find: Callable[[], object] = dict
) -> None:
    """One job; prints the error that it ended with, and when."""

    def find_facts() -> dict[str, str]:
        return {"node": "n", **find()}

    try:
        with hosts.preparing(name, number, find_facts):
            work()
        show(job=name, error=None, time_s=time.time())
    except StagesError as error:
        show(job=name, error=f"{type(error).__name__}: {error}", time_s=time.time())


def agree(hosts: Hosts, name: str) -> None:
    """Shows where host 0 starts, and how each host has heard of it."""
    start = hosts.agree_on_start(START if hosts.index == 0 else b"", name)
    show(start=name, num_bytes=len(start), is_that_of_host_0=start == START)


def tell_host_1(name: str) -> None:
    """Host 0 has given a job up."""
    if jax.process_index() == 0:
        key_value_client().key_value_set(f"test/{name}", "")


def wait_for_host_0(name: str) -> None:
    key_value_client().blocking_key_value_get(f"test/{name}", 60_000)


def fail() -> None:
    raise CheckpointError("weights are missing")


def fail_late() -> None:
    """When the others wait already."""
    time.sleep(LOAD_S)
    fail()


def main() -> None:
    place = find_place("auto", platform="auto")
    assert place is not None
    hosts = join(place, heartbeat_timeout_s=HEARTBEAT_S)
    show(place=asdict(place), picked=len(pick_devices("auto")), own=len(jax.local_devices()))
    hosts = Hosts(hosts.index, hosts.count, begin_timeout_s=BEGIN_TIMEOUT_S)
    is_first = hosts.index == 0

    begin(hosts, 3, "the same", lambda: agree(hosts, "the same"))
    begin(hosts, 4, "another", find=lambda: {"mesh": "1x1x8", "code": f"c{hosts.index}"})
    begin(hosts, 5, "failing", lambda: time.sleep(LOAD_S) if is_first else fail())
    begin(hosts, 6, "failing facts", find=dict if is_first else fail)
    if not is_first:  # on host 0 it fails before it comes here
        begin(hosts, 7, "missed")
    begin(hosts, 8, "after that")
    begin(hosts, 9, "failing start", fail_late if is_first else lambda: agree(hosts, "failing start"))
    if not is_first:
        wait_for_host_0("late")
    begin(hosts, 10, "late", lambda: show(job="late", error="loading"))
    tell_host_1("late")
    begin(hosts, 11, "after the late one")
    if is_first:
        begin(hosts, 12, "without host 1")
        tell_host_1("without host 1")
        time.sleep(20 * HEARTBEAT_S)
    else:
        wait_for_host_0("without host 1")
        os._exit(0)


if __name__ == "__main__":
    main()
