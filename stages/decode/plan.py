"""The decoder's two programs for a video's size, lowered for given devices, before there are weights or latents.

Owns the shapes and shardings of what goes into them; what they compute is in forward.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import jax
from jax.sharding import PartitionSpec
from jax.stages import Compiled, Traced

from stages.decode.config import DecoderConfig
from stages.decode.forward import FramePrograms, decode_first, decode_next
from stages.decode.strips import BY_COLUMN, WHOLE, Strips, place, plan_strips
from stages.decode.structure import DecoderMemory, DecoderWeights
from stages.decode.tiling import TileGrid, count_tiles
from stages.decode.weights import describe_arrays
from stages.geometry import LatentSize
from stages.machine.executables import Program
from stages.machine.flops import count_flops
from stages.tensors.dtypes import DTYPES

Compile: TypeAlias = Callable[[Program], Compiled]
Devices: TypeAlias = Sequence[jax.Device]

# On CPU, XLA gives convolutions and sums to YNNPACK by default. Its own take less time
# (docs/decisions/0013); matrix products stay with YNNPACK. A TPU's compiler takes the option and ignores it.
COMPILER_OPTIONS = MappingProxyType({"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"})


@dataclass(frozen=True)
class ChunkPlan:
    """All that the decoder's programs depend on besides the devices; the chunk is one latent frame.

    Attributes:
        config: sizes of the decoder.
        size: of the video, or of a tile of it, in latent cells.
        dtype: "float32" or "bfloat16", of weights, memory, latents and frames.
    """

    config: DecoderConfig
    size: LatentSize
    dtype: str


@dataclass(frozen=True)
class ChunkNeeds:
    """What a video or tile needs, known before anything is compiled.

    Attributes:
        memory: shapes of what is kept between latent frames, each with its sharding; None of an image.
        first_flops: operations of the first latent frame, of all devices together.
        later_flops: of a later one in the middle of the video; 0 of an image, which has none.
    """

    memory: DecoderMemory[Any] | None
    first_flops: int
    later_flops: int


def count_needs(plan: ChunkPlan, devices: Devices) -> ChunkNeeds:
    """What decoding by both programs needs on `devices`; they are traced, not lowered."""
    first, _ = _trace_first(plan, devices)
    if plan.size.num_frames == 1:
        return ChunkNeeds(None, count_flops(first.jaxpr.jaxpr), later_flops=0)
    later, _, memory = _trace_next(plan, devices)
    return ChunkNeeds(memory, count_flops(first.jaxpr.jaxpr), _count_middle_flops(later, plan))


def lower_first(plan: ChunkPlan, devices: Devices) -> Program:
    """The program for the first latent frame of a video, lowered for `devices`; nothing is put on them."""
    traced, weights = _trace_first(plan, devices)
    flops = count_flops(traced.jaxpr.jaxpr)
    return Program(
        "first decode chunk", traced.lower(), weights, state=(), flops=flops, compiler_options=COMPILER_OPTIONS
    )


def lower_chunk(plan: ChunkPlan, devices: Devices) -> Program:
    """The program for a later latent frame, lowered for `devices`; nothing is put on them.

    Its operations are those of the middle of the video: attention sees one latent frame more from chunk to chunk.
    """
    traced, weights, memory = _trace_next(plan, devices)
    flops = _count_middle_flops(traced, plan)
    return Program(
        "decode chunk", traced.lower(), weights, state=memory, flops=flops, compiler_options=COMPILER_OPTIONS
    )


def compile_tiles(
    plan: ChunkPlan, grid: TileGrid, compile_size: Callable[[ChunkPlan], FramePrograms]
) -> Mapping[tuple[int, int], FramePrograms]:
    """The programs for each size, [height, width] latent cells, that a tile of the video has.

    Args:
        plan: of the whole video.
        grid: its tiles.
        compile_size: `compile_programs` for some devices.
    """
    return {
        (height, width): compile_size(replace(plan, size=LatentSize(plan.size.num_frames, height, width)))
        for height, width in count_tiles(plan.size.height, plan.size.width, grid)
    }


def compile_programs(plan: ChunkPlan, *, devices: Devices, compile_program: Compile) -> FramePrograms:
    """Compile what a video or tile of this size needs, ahead of time."""
    first = compile_program(lower_first(plan, devices))
    later = compile_program(lower_chunk(plan, devices)) if plan.size.num_frames > 1 else None
    return FramePrograms(first=first, later=later)


def _trace_first(plan: ChunkPlan, devices: Devices) -> tuple[Traced, DecoderWeights[Any]]:
    weights, latents = _describe_inputs(plan, devices)
    traced = decode_first.trace(
        weights, latents, config=plan.config, num_latent_frames=plan.size.num_frames, strips=_strips(plan, devices)
    )
    return traced, weights


def _trace_next(plan: ChunkPlan, devices: Devices) -> tuple[Traced, DecoderWeights[Any], DecoderMemory[Any]]:
    weights, latents = _describe_inputs(plan, devices)
    memory = _describe_memory(plan, devices)
    position = _describe((), "int32", devices)
    traced = decode_next.trace(weights, latents, memory, position, config=plan.config, strips=_strips(plan, devices))
    return traced, weights, memory


def _count_middle_flops(traced: Traced, plan: ChunkPlan) -> int:
    return count_flops(traced.jaxpr.jaxpr, num_iterations=(plan.size.num_frames + 2) // 2)


def _strips(plan: ChunkPlan, devices: Devices) -> Strips | None:
    return plan_strips(plan.size.width, devices)


def _describe_inputs(plan: ChunkPlan, devices: Devices) -> tuple[DecoderWeights[Any], jax.ShapeDtypeStruct]:
    """The weights and one latent frame, which all devices hold."""
    config, size = plan.config, plan.size
    weights = describe_arrays(config, dtype=plan.dtype, devices=devices)
    return weights, _describe((1, size.height, size.width, config.latent_channels), DTYPES[plan.dtype], devices)


def _describe_memory(plan: ChunkPlan, devices: Devices) -> DecoderMemory[Any]:
    """What the first latent frame leaves, each device its strip."""
    decode = partial(
        decode_first, config=plan.config, num_latent_frames=plan.size.num_frames, strips=_strips(plan, devices)
    )
    memory, _ = jax.eval_shape(decode, *_describe_inputs(plan, devices))
    return jax.tree.map(lambda array: _describe(array.shape, array.dtype, devices, BY_COLUMN), memory)


def _describe(
    shape: tuple[int, ...], dtype: Any, devices: Devices, spec: PartitionSpec = WHOLE
) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=place(devices, spec))
