"""What a program needs, per device: memory by what it is for, arithmetic, and what is sent."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import jax

from stages.machine.chips import chip_of_device
from stages.models.wording import quote
from stages.preflight.hlo import Collective, count_collectives
from stages.preflight.lowering import Lowered, Work, bytes_on_device
from stages.preflight.schedule import Expected, expect
from stages.preflight.target import Target

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# libtpu 0.0.42 and 0.0.52. What they call temporaries is all that the program needs, its arguments too.
_OUT_OF_HBM = re.compile(r"HLO temporaries \(([\d.]+)([KMGT])\) exceeds available HBM \(([\d.]+)([KMGT])\)")


@dataclass(frozen=True)
class Memory:
    """Bytes on a device.

    Attributes:
        weights: all of them, also those that the program drops.
        state: all other arguments, those of all tiles.
        temporaries: all else, also arguments' padding; None of a program that was refused for another reason than
            memory.
    """

    weights: int
    state: int
    temporaries: int | None


@dataclass(frozen=True)
class Figures:
    """The content of `figures.json`.

    Attributes:
        device_kind, num_devices, mesh: what it was compiled for, and how many devices hold a part of the video.
        memory: bytes on a device.
        growing_bytes: of these, what grows with the video's latent frames; None where that is not known.
        limit_bytes: how many a program can have.
        fits: whether the compiler took it and the sum is within the limit.
        refusal: the compiler's reason, cut where it is long; "" where it took the program.
        flops: operations of a step or of a later latent frame (of an image, of the first) with all its tiles, of all
            devices together.
        first, later: what the first call cannot do without, and each later one; a call is a step or a latent frame.
        collectives: of a call: those of the largest tile's program, as often as there are tiles. None where the
            compiler refused the program, or this jaxlib cannot read its text (0.10.2 reads what libtpu 0.0.42.1 makes
            for all chips here, and not what 0.0.52 makes for tpu7x).
        expected: seconds of a call by the compiler's schedule: of the largest tile's program, as often as there are
            tiles. None where `collectives` is, and of what is no TPU.
    """

    device_kind: str
    num_devices: int
    mesh: str
    memory: Memory
    growing_bytes: int | None
    limit_bytes: int
    fits: bool
    refusal: str
    flops: int
    first: Work
    later: Work
    collectives: tuple[Collective, ...] | None
    expected: Expected | None


def figures_of_compiled(lowered: Lowered, target: Target, compiled: jax.stages.Compiled) -> Figures:
    """What the compiler says of a program that it took."""
    needed: Any = compiled.memory_analysis()
    arguments = _arguments(lowered, compiled)
    taken = sum(argument.bytes for argument in arguments)
    padding = needed.argument_size_in_bytes - taken
    results = needed.output_size_in_bytes - needed.alias_size_in_bytes
    memory = Memory(
        weights=bytes_on_device(lowered.program.weights),
        state=lowered.state_bytes + sum(argument.bytes for argument in arguments if argument.is_other),
        temporaries=needed.temp_size_in_bytes + needed.generated_code_size_in_bytes + results + padding,
    )
    dropped = memory.weights - sum(argument.bytes for argument in arguments if argument.is_weight)
    text = _text_of(compiled)
    if text is None:
        return _figures(lowered, target, memory, dropped_bytes=dropped)
    chip = chip_of_device(target.devices[0].device_kind)
    expected = expect(text, chip) if chip else None
    figures = _figures(lowered, target, memory, dropped_bytes=dropped)
    return replace(
        figures,
        collectives=_collectives_in(text, lowered.num_tiles),
        expected=expected and expected * lowered.num_tiles,
    )


def figures_of_refused(lowered: Lowered, target: Target, message: str) -> Figures:
    """What the compiler's message says of a program that it did not take."""
    weights = bytes_on_device(lowered.program.weights)
    found = _OUT_OF_HBM.search(message)
    temporaries = None
    if found:
        own_state = bytes_on_device(lowered.program.state)  # of one tile
        temporaries = max(_bytes_of(*found.group(1, 2)) - weights - own_state, 0)
        target = replace(target, limit_bytes=_bytes_of(*found.group(3, 4)))
    memory = Memory(weights, lowered.state_bytes, temporaries)
    return _figures(lowered, target, memory, refusal=quote(message))


def _bytes_of(number: str, unit: str) -> int:
    return int(float(number) * _UNITS[unit])


def _text_of(compiled: jax.stages.Compiled) -> str | None:
    try:
        return compiled.as_text() or ""
    except jax.errors.JaxRuntimeError:
        return None


def _collectives_in(text: str, num_tiles: int) -> tuple[Collective, ...]:
    return tuple(
        replace(each, count=num_tiles * each.count, size_bytes=num_tiles * each.size_bytes)
        for each in count_collectives(text)
    )


@dataclass(frozen=True)
class _Argument:
    """Bytes on a device, 0 of one that was dropped because nothing depends on it.

    `is_weight`: it stays from call to call; `is_other`: that neither, nor is it donated.
    """

    bytes: int
    is_weight: bool
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
            bytes=math.prod(sharding.shard_shape(info.shape)) * info.dtype.itemsize if sharding else 0,
            is_weight=index < num_weights,
            is_other=index >= num_weights and not info.donated,
        )
        for index, (info, sharding) in enumerate(zip(infos, shardings, strict=True))
    ]


def _figures(
    lowered: Lowered,
    target: Target,
    memory: Memory,
    *,
    dropped_bytes: int = 0,
    refusal: str = "",
) -> Figures:
    total = None if memory.temporaries is None else memory.weights + memory.state + memory.temporaries
    growing = lowered.growing_bytes
    if growing is None and total is not None:
        growing = total - memory.weights
    first, later = (
        replace(work, read_bytes=work.read_bytes - dropped_bytes) for work in (lowered.first, lowered.later)
    )
    return Figures(
        device_kind=target.devices[0].device_kind,
        num_devices=lowered.num_devices,
        mesh=lowered.mesh,
        memory=memory,
        growing_bytes=growing,
        limit_bytes=target.limit_bytes,
        fits=not refusal and total is not None and total <= target.limit_bytes,
        refusal=refusal,
        flops=lowered.flops,
        first=first,
        later=later,
        collectives=None,
        expected=None,
    )
