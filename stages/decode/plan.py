"""The decode chunk as a program that can be compiled before there are weights, latents or a TPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding
from jax.typing import DTypeLike

from stages.decode.config import DecoderConfig
from stages.decode.decoder import decode_first, decode_next
from stages.decode.weights import describe_weights
from stages.executables import Program
from stages.flops import count_flops
from stages.geometry import LatentSize


@dataclass(frozen=True)
class ChunkPlan:
    """All that decides the program of a decode chunk, besides the devices."""

    config: DecoderConfig
    size: LatentSize
    dtype: str


def lower_chunk(plan: ChunkPlan, devices: Sequence[jax.Device]) -> Program:
    """A later latent frame on the first of `devices`, which may be those of a topology."""

    def array(*shape: int, dtype: DTypeLike = plan.dtype) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=SingleDeviceSharding(devices[0]))

    weights: Any = jax.tree.map(lambda spec: array(*spec.shape), describe_weights(plan.config))
    latents = array(1, plan.size.height, plan.size.width, plan.config.latent_channels)
    after_first, _ = decode_first.eval_shape(
        weights, latents, config=plan.config, num_latent_frames=plan.size.num_frames
    )
    memory = jax.tree.map(lambda leaf: array(*leaf.shape), after_first)
    traced = decode_next.trace(weights, latents, memory, array(dtype=jnp.int32), config=plan.config)
    flops = count_flops(traced.jaxpr.jaxpr, num_turns=plan.size.num_frames)  # the last frame sees all before it
    return Program("decode chunk", traced.lower(), weights=weights, state=memory, flops=flops)
