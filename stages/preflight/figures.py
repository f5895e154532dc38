"""What a program needs, per device: memory by what it is for, arithmetic, and what is sent."""

import math
import re
from dataclasses import dataclass
from typing import Any

import jax

from stages.preflight.hlo import Collective, count_collectives
from stages.preflight.lowering import Lowered
from stages.preflight.target import Target

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# libtpu 0.0.42 and 0.0.52. What they call temporaries is all that the program needs, its arguments too.
_OUT_OF_HBM = re.compile(r"HLO temporaries \(([\d.]+)([KMGT])\) exceeds available HBM")
_MAX_SHOWN = 300  # characters of a compiler's message


@dataclass(frozen=True)
class Memory:
    """Bytes on a device. `state`: all arguments but the weights; `temporaries`: all else, also arguments' padding."""

    weights: int
    state: int
    temporaries: int


@dataclass(frozen=True)
class Figures:
    """The content of `figures.json`.

    Attributes:
        device_kind, num_devices, mesh: what it was compiled for.
        memory: bytes on a device, and how many of them a program can have.
        fits: whether the compiler took it and the sum is within the limit.
        flops: operations of a step or of a latent frame, with all its tiles, of all devices together.
        collectives: of a call; None where not known: of a program that the compiler refused, or that this jaxlib
            cannot read (0.10.2 cannot read what libtpu 0.0.52 makes for tpu7x).
    """

    device_kind: str
    num_devices: int
    mesh: str
    memory: Memory
    limit_bytes: int
    fits: bool
    flops: int
    collectives: tuple[Collective, ...] | None


def figures_of_compiled(lowered: Lowered, target: Target, compiled: jax.stages.Compiled) -> Figures:
    """What the compiler says of a program that it took."""
    needed: Any = compiled.memory_analysis()
    arguments = _arguments(lowered, compiled)
    taken = sum(argument.bytes for argument in arguments if argument.is_taken)
    padding = needed.argument_size_in_bytes - taken
    results = needed.output_size_in_bytes - needed.alias_size_in_bytes
    memory = Memory(
        weights=_bytes_of(lowered.program.weights),
        state=lowered.num_tiles * _bytes_of(lowered.program.state) + _others(arguments),
        temporaries=needed.temp_size_in_bytes + needed.generated_code_size_in_bytes + results + padding,
    )
    return _figures(lowered, target, memory, _collectives_of(compiled))


def figures_of_refused(lowered: Lowered, target: Target, message: str) -> Figures | None:
    """What the compiler says of a program that needs more memory than there is; None for another message."""
    found = _OUT_OF_HBM.search(message)
    if found is None:
        return None
    weights, state = _bytes_of(lowered.program.weights), _bytes_of(lowered.program.state)
    total = int(float(found[1]) * _UNITS[found[2]])
    memory = Memory(weights, lowered.num_tiles * state, max(total - weights - state, 0))
    return _figures(lowered, target, memory, collectives=None)


def shorten(message: str) -> str:
    """A compiler's message on one line, without what is of use to the compiler's authors alone."""
    line = " ".join(message.split())
    return line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}..."


def _collectives_of(compiled: jax.stages.Compiled) -> tuple[Collective, ...] | None:
    try:
        text = compiled.as_text()
    except jax.errors.JaxRuntimeError:
        return None
    return count_collectives(text or "")


@dataclass(frozen=True)
class _Argument:
    """Bytes on a device; `is_taken`: not dropped because nothing depends on it; `is_other`: no weight, not donated."""

    bytes: int
    is_taken: bool
    is_other: bool


def _arguments(lowered: Lowered, compiled: jax.stages.Compiled) -> list[_Argument]:
    """The program's arguments in their order, of which the weights are the first.

    One that was dropped has no sharding. A weight that was dropped is on the device all the same.
    """
    program = lowered.program
    num_weights = len(jax.tree.leaves(program.weights))
    infos, tree = jax.tree.flatten(program.lowered.args_info)
    shardings = tree.flatten_up_to(compiled.input_shardings)  # type: ignore[attr-defined] # its stub lacks it
    return [
        _Argument(
            bytes=_shard_bytes(info, sharding) if sharding else 0,
            is_taken=sharding is not None,
            is_other=place >= num_weights and not info.donated,
        )
        for place, (info, sharding) in enumerate(zip(infos, shardings, strict=True))
    ]


def _others(arguments: list[_Argument]) -> int:
    return sum(argument.bytes for argument in arguments if argument.is_other)


def _figures(lowered: Lowered, target: Target, memory: Memory, collectives: tuple[Collective, ...] | None) -> Figures:
    total = memory.weights + memory.state + memory.temporaries
    return Figures(
        device_kind=target.devices[0].device_kind,
        num_devices=lowered.num_devices,
        mesh=lowered.mesh,
        memory=memory,
        limit_bytes=target.limit_bytes,
        fits=total <= target.limit_bytes,
        flops=lowered.num_tiles * lowered.program.flops,
        collectives=collectives,
    )


def _bytes_of(shapes: Any) -> int:
    """Bytes of a tree of shapes on one device."""
    return sum(_shard_bytes(leaf, leaf.sharding) for leaf in jax.tree.leaves(shapes))


def _shard_bytes(array: Any, sharding: jax.sharding.Sharding) -> int:
    return math.prod(sharding.shard_shape(array.shape)) * array.dtype.itemsize
