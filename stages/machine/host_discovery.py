"""Who the hosts of one machine of many chips are, and which of them this one is.

How their processes join and go in step is said in host_protocol.py.
"""

import os
from dataclasses import dataclass

from jax._src import clusters  # the public jax.distributed has no way to ask these for anything

from stages.errors import MeshError

ALONE, AUTO = "one", "auto"  # values of machine.hosts; the third form is "<address>:<port> <index>/<count>"
_BEGIN_S = 300  # hosts are started together; JAX's own patience
PAGE = "docs/many-hosts.md"


@dataclass(frozen=True)
class Place:
    """Where a host is among the others: the address of host 0, the port that it listens on, and who this one is."""

    address: str
    port: int
    index: int
    count: int


def find_place(setting: str, *, platform: str) -> Place | None:
    """Where this host is among those that compute together, or None when it computes alone.

    Args:
        setting: "one", "auto", or "<address>:<port> <index>/<count>", as params.py has checked it. "auto" asks Cloud
            TPU and nobody else.
        platform: as in `pick_devices`; with "cpu", "auto" finds nobody.
    Raises:
        MeshError: Cloud TPU does not say who the other hosts are.
    """
    if setting == ALONE or (setting == AUTO and platform == "cpu"):
        return None
    if setting == AUTO:
        return _ask_cloud_tpu()
    server, position = setting.split()
    address, _, port = server.rpartition(":")
    index, count = (int(number) for number in position.split("/"))
    return Place(address, int(port), index, count) if count > 1 else None


def _ask_cloud_tpu() -> Place | None:
    """What Cloud TPU tells its virtual machines and GKE its pods; None where they are not, or are alone."""
    for cluster in (clusters.GkeTpuCluster, clusters.GceTpuCluster):
        try:
            if not cluster.is_env_present():
                continue
            count = cluster.get_process_count()
            if count == 1:
                return None
            chosen_port = os.environ.get("JAX_COORDINATOR_PORT")
            address, _, port = cluster.get_coordinator_address(_BEGIN_S, chosen_port).rpartition(":")
            return Place(address, int(port), cluster.get_process_id(), count)
        except Exception as error:  # of the library that asks over the network, or of the answer
            raise MeshError(
                f"Cloud TPU does not say which hosts belong to this one ({type(error).__name__}: {error}). Set "
                f'machine.hosts in params/machine.toml to "one", or name them ({PAGE}).'
            ) from error
    return None
