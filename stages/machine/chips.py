"""The TPU chips that this project supports: their memory and speed, and the slices in which Cloud TPU offers them.

Sizes are those of a JAX device, which is a chip, or half a chip of tpu7x, whose two cores have a memory each.
Source of peak, bandwidth and slices: docs.cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e,tpu7x}, read 2026-11. A link has
an even share of a chip's bandwidth to others, which is that of four links, or of six in three dimensions, both ways
together. The clock is the peak by what a core's matrix units make in a cycle: 131,072 FLOP, and from v6e on 524,288.
Source of the memory: what libtpu reports as available when a program asks for too much; it reserves the rest. 0.0.42.1,
which `jax[tpu]` 0.10.2 installs, and 0.0.52 differ by at most a hundredth of a GiB.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stages.errors import MeshError
from stages.machine.binary_units import GIB

_PLANES = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_LARGEST_HOST = 8  # chips of v5e and v6e: a slice of so many is one host, and in a larger one each host has 2x2
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")


@dataclass(frozen=True)
class Chip:
    """A kind of chip.

    Attributes:
        device_kind: JAX's name for it.
        num_cores: cores per chip, which is what the number in an accelerator's name counts: a v4-8 has four chips.
        cores_of_device: of a JAX device.
        hbm_bytes: memory that a program can use.
        peak_flops: FLOP/s with bfloat16, dense.
        hbm_bandwidth: bytes/s between this memory and the cores.
        clock_hz: of the cores.
        link_bandwidth: bytes/s that a chip receives over one link from a neighbour.
        slices: shapes of the slices, smallest first.
        chip_config: the compiler's setting under which it treats a chip as a run does; "" for its default.
    """

    device_kind: str
    num_cores: int
    cores_of_device: int
    hbm_bytes: int
    peak_flops: float
    hbm_bandwidth: float
    clock_hz: float
    link_bandwidth: float
    slices: tuple[str, ...]
    chip_config: str = ""


CHIPS: Mapping[str, Chip] = MappingProxyType(
    {
        # A v4 has two cores with one memory; JAX makes one device of them, but not the compiler without a TPU.
        "v4": Chip("TPU v4", 2, 2, int(30.75 * GIB), 275e12, 1200e9, 1.05e9, 50e9, _CUBES, chip_config="megacore"),
        "v5e": Chip("TPU v5 lite", 1, 1, int(15.75 * GIB), 197e12, 819e9, 1.5e9, 50e9, _PLANES),
        "v5p": Chip("TPU v5", 2, 2, int(95.73 * GIB), 459e12, 2765e9, 1.75e9, 100e9, _CUBES),
        "v6e": Chip("TPU v6 lite", 1, 1, int(31.24 * GIB), 918e12, 1638e9, 1.75e9, 100e9, _PLANES),
        "tpu7x": Chip("TPU7x", 2, 1, int(94.74 * GIB), 2307e12 / 2, 7380e9 / 2, 2.2e9, 100e9, _CUBES),
    }
)
TOPOLOGIES = tuple(f"{name}:{shape}" for name, chip in CHIPS.items() for shape in chip.slices)


def chip_of_topology(topology: str) -> Chip:
    """The chip of a slice named as in TOPOLOGIES, such as "v6e:2x4".

    Raises:
        MeshError: there is no such slice; names those that may have been meant.
    """
    if topology not in TOPOLOGIES:
        raise MeshError(f"--topology {topology}: not a slice of TPUs that preflight knows. {_near(topology)}")
    return CHIPS[topology.partition(":")[0]]


def host_of_topology(topology: str) -> str:
    """The part of a slice that belongs to one host, named as a slice: "v6e:2x2" of "v6e:4x4", "v6e:2x4" of itself."""
    generation, _, shape = topology.partition(":")
    if CHIPS[generation].slices is _CUBES:
        return f"{generation}:2x2x1"
    return topology if _num_chips(shape) <= _LARGEST_HOST else f"{generation}:2x2"


def host_bounds(topology: str) -> tuple[int, int, int]:
    """How many chips one host of a slice has along each of three axes."""
    sizes = [int(size) for size in host_of_topology(topology).partition(":")[2].split("x")]
    return sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else 1


def chip_of_device(device_kind: str) -> Chip | None:
    """The chip of this JAX device kind; None for one that is not listed here, such as a CPU."""
    return next((chip for chip in CHIPS.values() if chip.device_kind == device_kind), None)


def _near(topology: str) -> str:
    """What to write instead: the slice that an accelerator's name such as "v6e-8" means, or the names that exist."""
    generation, _, number = topology.lower().replace(":", "-").partition("-")
    if generation not in CHIPS:
        near = "".join(f" Did you mean {name}?" for name in difflib.get_close_matches(generation, CHIPS, n=1))
        return f"A name is a generation ({', '.join(CHIPS)}) and a shape, such as v6e:2x4.{near}"
    chip = CHIPS[generation]
    names = {str(_num_chips(shape) * chip.num_cores): f"{generation}:{shape}" for shape in chip.slices}
    if number in names:
        return f"Write {names[number]}."
    return f"A name has the chips along each axis: {', '.join(names.values())}."


def _num_chips(shape: str) -> int:
    return math.prod(int(size) for size in shape.split("x"))
