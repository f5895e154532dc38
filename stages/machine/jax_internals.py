"""The private names of JAX that this project uses, each with its reason: the place to look when JAX is upgraded.

They are those of jax 0.10, the release that pyproject.toml asks for. No other module imports `jax._src` or `jaxlib`.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax._src import clusters, distributed, xla_bridge
from jaxlib import xla_client

# How `jax.distributed.initialize` finds the other hosts. It cannot be asked without joining them, and looks for other
# kinds of cluster as well.
CLOUD_TPU_CLUSTERS = (clusters.GkeTpuCluster, clusters.GceTpuCluster)


def key_value_client() -> Any:
    """The client of the key-value store that the processes which joined have in common; host 0 serves it.

    Collectives of the public API run on the devices and never time out; this store needs no device and has timeouts.
    """
    return distributed.global_state.client


def has_backend() -> bool:
    """Whether JAX has opened devices already: asking its public API for them opens all that there are."""
    return bool(xla_bridge.backends_are_initialized())


def kept_arguments(lowered: jax.stages.Lowered) -> list[int]:
    """Indices of the arguments that a lowered program takes: those that nothing depends on are dropped.

    The program's text does not say which they are, and two programs may differ in nothing else.
    """
    internals: Any = lowered
    return sorted(internals._lowering.compile_args["kept_var_idx"])


def hardware_fingerprint(devices: Sequence[jax.Device]) -> int:
    """JAX's identity of the hardware: how the chips are arranged, or which instructions this CPU has."""
    return int(xla_client.get_topology_for_devices(list(devices)).fingerprint())
