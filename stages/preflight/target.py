"""The devices that preflight compiles for: a named slice of TPUs, which nobody needs to have, or those at hand."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from jax.experimental import topologies

from stages.errors import MeshError
from stages.machine.chips import chip_of_device, chip_of_topology, host_bounds
from stages.machine.devices import pick_devices
from stages.machine.host_memory import host_memory_bytes

# The compiler alone: it asks no metadata server for a TPU, takes no lock against others of its kind, and JAX starts no
# TPU that is there.
_COMPILER_ALONE: Mapping[str, str] = MappingProxyType({"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"})


@dataclass(frozen=True)
class Target:
    """Devices, all of a kind, and the bytes of memory that each has for a program."""

    devices: Sequence[jax.Device]
    limit_bytes: int


def find_target(topology: str, platform: str) -> Target:
    """The devices of a slice, or with "" those of a platform on this machine.

    For a slice, call it before anything asks JAX for a device: it sets what JAX and libtpu read when they start.

    Raises:
        MeshError: there is no such slice, or no such platform.
    """
    return _of_topology(topology) if topology else _at_hand(platform)


def _of_topology(topology: str) -> Target:
    chip = chip_of_topology(topology)
    os.environ.update(_COMPILER_ALONE)
    jax.config.update("jax_platforms", "cpu")
    options: dict[str, Any] = {"chips_per_host_bounds": host_bounds(topology)}
    if chip.chip_config:
        options["chip_config_name"] = chip.chip_config
    try:
        found = topologies.get_topology_desc(topology_name=topology, platform="tpu", **options)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise MeshError(f"--topology {topology}: libtpu cannot compile for it ({error}).") from error
    return Target(found.devices, chip.hbm_bytes)


def _at_hand(platform: str) -> Target:
    devices = pick_devices(platform)
    if chip := chip_of_device(devices[0].device_kind):
        return Target(devices, chip.hbm_bytes)
    if statistics := devices[0].memory_stats():
        return Target(devices, statistics["bytes_limit"])
    return Target(devices, host_memory_bytes() // len(devices))  # CPU devices share the host's
