"""The hosts of one slice of chips: which of them this one is, and where it finds the others.

How their processes join and agree on what to compute is in host_protocol.py.
"""

import os
from dataclasses import dataclass

from stages.errors import MeshError
from stages.machine.host_group import AUTO, ONE_HOST
from stages.machine.jax_internals import CLOUD_TPU_CLUSTERS

PAGE = "docs/many-hosts.md"  # named in messages
_COORDINATOR_TIMEOUT_S = 300  # until the name of host 0 is known to the network; hosts are started together


@dataclass(frozen=True)
class Place:
    """The place of a host among all hosts of a slice.

    Attributes:
        address: of host 0, as this host reaches it.
        port: that host 0 listens on.
        index: of this host, from 0.
        count: of all hosts, at least 2.
    """

    address: str
    port: int
    index: int
    count: int


def find_place(setting: str, *, platform: str) -> Place | None:
    """Find this host's place among those that compute together.

    Args:
        setting: "one", "auto", or "<address>:<port> <index>/<count>", as request/tables.py has checked it. "auto" asks
            Cloud TPU and no other kind of cluster.
        platform: as in `pick_devices`; with "cpu", "auto" means "one".
    Returns:
        None when this host computes by itself.
    Raises:
        MeshError: Cloud TPU does not say which the other hosts are.
    """
    if setting == ONE_HOST or (setting == AUTO and platform == "cpu"):
        return None
    if setting == AUTO:
        return _ask_cloud_tpu()
    server, position = setting.split()
    address, _, port = server.rpartition(":")
    index, count = (int(number) for number in position.split("/"))
    return Place(address, int(port), index, count) if count > 1 else None


def _ask_cloud_tpu() -> Place | None:
    """The place that Cloud TPU gives its virtual machines and GKE its pods; None elsewhere, or without other hosts."""
    for cluster in CLOUD_TPU_CLUSTERS:
        try:
            if not cluster.is_env_present():
                continue
            count = cluster.get_process_count()
            if count == 1:
                return None
            chosen_port = os.environ.get("JAX_COORDINATOR_PORT")
            address, _, port = cluster.get_coordinator_address(_COORDINATOR_TIMEOUT_S, chosen_port).rpartition(":")
            return Place(address, int(port), cluster.get_process_id(), count)
        except Exception as error:  # of the library that asks over the network, or of the answer
            raise MeshError(
                f"Cloud TPU does not say which hosts belong to this one ({type(error).__name__}: {error}). Set "
                f'machine.hosts in params/machine.toml to "one", or name the hosts ({PAGE}).'
            ) from error
    return None


def _print_group() -> None:
    """What host_group.py asks, from a process without JAX: a name of the hosts of this slice, "" for a single one."""
    place = _ask_cloud_tpu()
    print(f"{place.address}:{place.port}/{place.count}" if place else "")


if __name__ == "__main__":
    _print_group()
