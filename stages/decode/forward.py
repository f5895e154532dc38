"""The forward pass of the whole decoder, with explicit state: latent frames in, frames out, exact with any chunk size.

Owns the order of the blocks and when something is remembered between frames. The blocks are in layers.py, weights
and memory in structure.py; where latents come from and frames go is left to stream.py and tiling.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stages.decode.attention import AttentionMemory, attention
from stages.decode.config import DecoderConfig, UpBlockPlan
from stages.decode.convolution import count_together
from stages.decode.layers import causal_conv, resnet, rms_norm, silu, upsample
from stages.decode.strips import AXIS, BY_COLUMN, WHOLE, Strips, fill
from stages.decode.structure import DecoderMemory, DecoderWeights, TailMemory, UpBlockMemory, UpBlockWeights

WIDTH_AXIS = 3  # of frames, [b, f, h, w, rgb]


# What is remembered after a latent frame (None when none follows), and its frames, not clamped.
Decoded: TypeAlias = tuple[DecoderMemory[Array] | None, Float[Array, "b f h_px w_px rgb"]]

# Weights, latents, memory (None before the first latent frame) and position of a latent frame.
Arguments: TypeAlias = tuple[
    DecoderWeights[Array], Float[Array, "b h w c"], DecoderMemory[Array] | None, Int[Array, ""]
]


@dataclass(frozen=True)
class FramePrograms:
    """`decode_first` and `decode_next` for one size of frames, jitted or compiled.

    Attributes:
        first: (weights, latents) -> (memory, frames).
        later: (weights, latents, memory, position) -> (memory, frames); the memory is used up. None when there is
            no later latent frame.
    """

    first: Callable[[DecoderWeights[Array], Array], Decoded]
    later: Callable[[DecoderWeights[Array], Array, DecoderMemory[Array], Array], Decoded] | None


@dataclass(frozen=True)
class DecoderState:
    """Where a video's decoding stands; `memory` is None before its first latent frame, and of an image after it too."""

    num_latent_frames: int
    num_decoded: int
    memory: DecoderMemory[Array] | None


def initial_state(num_latent_frames: int) -> DecoderState:
    """The state before the first of `num_latent_frames` latent frames, for which the memory is laid out."""
    return DecoderState(num_latent_frames=num_latent_frames, num_decoded=0, memory=None)


@partial(jax.jit, static_argnames=("config", "num_latent_frames", "strips"))
def decode_first(
    weights: DecoderWeights[Array],
    latents: Float[Array, "b h w c"],
    *,
    config: DecoderConfig,
    num_latent_frames: int,
    strips: Strips | None = None,
) -> tuple[DecoderMemory[Array] | None, Float[Array, "b 1 h_px w_px rgb"]]:
    """Decode the first latent frame of a video, which is one frame.

    Args:
        weights: all of one dtype, float32 or bfloat16.
        latents: [b, h, w, c] in VAE space (divided by the scaling factor), of the weights' dtype.
        config: sizes of the decoder.
        num_latent_frames: of the whole video; room for their keys and values is made.
        strips: how frames and memory are spread over devices, each of which holds all weights and latents; None: not.
    Returns:
        The memory for the second latent frame, None where there is none (an image); and [b, 1, H, W, 3], not clamped,
        of the weights' dtype.
    """

    def decode(weights: DecoderWeights[Array], latents: Array, memory: None, position: Array) -> Decoded:
        batch, height, width, _ = latents.shape
        cache_shape = (batch, num_latent_frames, height * width, config.block_channels[0])
        cache = AttentionMemory(
            keys=jnp.zeros(cache_shape, latents.dtype), values=jnp.zeros(cache_shape, latents.dtype)
        )
        after, frames = _decode_frame(weights, latents, memory, cache, position, config=config, strips=strips)
        return (after if num_latent_frames > 1 else None), frames

    return _decode_strips(decode, (weights, latents, None, jnp.int32(0)), strips)


@partial(jax.jit, static_argnames=("config", "strips"), donate_argnames=("memory",))
def decode_next(
    weights: DecoderWeights[Array],
    latents: Float[Array, "b h w c"],
    memory: DecoderMemory[Array],
    position: Int[Array, ""],
    *,
    config: DecoderConfig,
    strips: Strips | None = None,
) -> tuple[DecoderMemory[Array], Float[Array, "b f h_px w_px rgb"]]:
    """Decode a later latent frame, which is `temporal_compression` frames.

    Args:
        weights: as for the first.
        latents: as for the first.
        memory: what the latent frame before left; its buffers are used up.
        position: int32, the latent frame's place in the video, from 1.
        config: sizes of the decoder.
        strips: as for the first.
    Returns:
        The memory for the next latent frame, and [b, 4, H, W, 3], not clamped, of the weights' dtype.
    """

    def decode(
        weights: DecoderWeights[Array], latents: Array, memory: DecoderMemory[Array], position: Array
    ) -> Decoded:
        return _decode_frame(weights, latents, memory, memory.mid_attention, position, config=config, strips=strips)

    after, frames = _decode_strips(decode, (weights, latents, memory, position), strips)
    assert after is not None  # `decode` always has one
    return after, frames


def decode_chunk(
    weights: DecoderWeights[Array],
    state: DecoderState,
    latents: Float[Array, "b f h w c"],
    *,
    programs: FramePrograms,
) -> tuple[DecoderState, Float[Array, "b f_px h_px w_px rgb"]]:
    """Decode the next latent frames of a video, one after the other: the bits do not depend on the chunk.

    Args:
        weights: all of one dtype, float32 or bfloat16.
        state: `initial_state` or what the chunk before left; its buffers are used up.
        latents: [b, f, h, w, c] in VAE space, of the weights' dtype, f >= 1.
        programs: for frames of this size and a video of as many latent frames as the state has room for.
    Returns:
        The state after the chunk, and its frames, [b, F, H, W, 3], not clamped, of the weights' dtype: 1 for the
        first latent frame of the video, `temporal_compression` for each later one.
    Raises:
        ValueError: the chunk runs past the latent frames that the state was made for.
    """
    end = state.num_decoded + latents.shape[1]
    if end > state.num_latent_frames:
        raise ValueError(f"latent frame {end} of {state.num_latent_frames}: the state has no room for it")
    memory = state.memory
    pieces = []
    for index in range(latents.shape[1]):
        frame = latents[:, index]
        if memory is None:
            memory, frames = programs.first(weights, frame)
        else:
            assert programs.later is not None  # there is room for more than one latent frame
            memory, frames = programs.later(weights, frame, memory, jnp.int32(state.num_decoded + index))
        pieces.append(frames)
    return DecoderState(state.num_latent_frames, end, memory), jnp.concatenate(pieces, axis=1)


def _decode_strips(decode: Callable[..., Decoded], arguments: Arguments, strips: Strips | None) -> Decoded:
    """Run `decode` on each device's strip and put the frames together, on every device; on one device just run it."""
    if strips is None:
        return decode(*arguments)

    def decode_strip(*arguments: Any) -> Decoded:
        memory, frames = decode(*arguments)
        return memory, jax.lax.all_gather(frames, AXIS, axis=WIDTH_AXIS, tiled=True)

    spread = jax.shard_map(
        decode_strip,
        mesh=strips.mesh,
        in_specs=(WHOLE, BY_COLUMN, BY_COLUMN, WHOLE),
        out_specs=(BY_COLUMN, WHOLE),
        check_vma=False,  # it takes the constants that loops start from for something else than what they end with
    )
    weights, latents, memory, position = arguments
    memory, frames = spread(weights, fill(latents, strips), memory, position)
    scale = frames.shape[WIDTH_AXIS] // (strips.mesh.size * strips.size)
    return memory, frames[:, :, :, : strips.num_columns * scale]


def _decode_frame(
    weights: DecoderWeights[Array],
    latents: Float[Array, "b h w c"],
    memory: DecoderMemory[Array] | None,
    cache: AttentionMemory[Array],
    position: Int[Array, ""],
    *,
    config: DecoderConfig,
    strips: Strips | None,
) -> tuple[DecoderMemory[Array], Float[Array, "b f h_px w_px rgb"]]:
    repeats = config.block_channels[0] // config.latent_channels
    past, (before, after), tail = (
        (memory.conv_in, memory.mid_resnets, memory.tail) if memory else (None, (None, None), None)
    )
    hidden, past = causal_conv(latents, weights.conv_in, past, strips)
    hidden = hidden + jnp.repeat(latents, repeats, axis=-1)
    hidden, before = resnet(hidden, weights.mid_resnets[0], before, strips)
    hidden, cache = attention(hidden, weights.mid_attention, cache, position, strips)
    hidden, after = resnet(hidden, weights.mid_resnets[1], after, strips)
    frames, tail = _decode_tail(weights, hidden[None], tail, config.up_blocks, strips)
    return DecoderMemory(past, (before, after), cache, tail), jnp.moveaxis(frames, 0, 1)


def _decode_tail(
    weights: DecoderWeights[Array],
    frames: Float[Array, "together b h w c"],
    memory: TailMemory[Array] | None,
    plans: tuple[UpBlockPlan, ...],
    strips: Strips | None,
) -> tuple[Float[Array, "f b h_px w_px rgb"], TailMemory[Array]]:
    """Run frames, all together, through the last `len(plans)` up blocks and the output convolution.

    Where a block makes two frames of one, all that follows runs in turns, of one frame or of two, as kernels are
    arranged for: the largest arrays, at full height and width, are those of a turn, and the tail is compiled once.
    """
    batch = frames.shape[1]
    together = frames.reshape(-1, *frames.shape[2:])
    if not plans:
        hidden = silu(rms_norm(together, weights.norm_out))
        rgb, past = causal_conv(hidden, weights.conv_out, memory.conv_out if memory else None, strips)
        return rgb.reshape(-1, batch, *rgb.shape[1:]), TailMemory(up_blocks=(), conv_out=past)
    block_weights = weights.up_blocks[-len(plans)]
    made, block_memory = _up_block(block_weights, together, memory.up_blocks[0] if memory else None, plans[0], strips)
    made = _put_in_order(made, batch)
    rest = TailMemory(memory.up_blocks[1:], memory.conv_out) if memory else None
    turns = made.reshape(-1, min(made.shape[0], count_together(weights.conv_out.kernel)), *made.shape[1:])
    if rest is None or turns.shape[0] == 1:
        decoded, after = _decode_tail(weights, turns[0], rest, plans[1:], strips)
    else:

        def decode_turn(before: TailMemory[Array], turn: Array) -> tuple[TailMemory[Array], Array]:
            decoded, after = _decode_tail(weights, turn, before, plans[1:], strips)
            return after, decoded

        after, decoded = jax.lax.scan(decode_turn, rest, turns)
        decoded = decoded.reshape(-1, *decoded.shape[2:])
    return decoded, TailMemory((block_memory, *after.up_blocks), after.conv_out)


def _put_in_order(made: Float[Array, "each together_b h w c"], batch: int) -> Float[Array, "f b h w c"]:
    """All frames in the order of time, where each of several, in a batch, was made into as many."""
    apart = made.reshape(made.shape[0], -1, batch, *made.shape[2:])
    return apart.swapaxes(0, 1).reshape(-1, batch, *made.shape[2:])


def _up_block(
    weights: UpBlockWeights[Array],
    frame: Float[Array, "b h w i"],
    memory: UpBlockMemory[Array] | None,
    plan: UpBlockPlan,
    strips: Strips | None,
) -> tuple[Float[Array, "f b h2 w2 o"], UpBlockMemory[Array]]:
    resnet_memories = []
    for index, resnet_weights in enumerate(weights.resnets):
        frame, resnet_memory = resnet(frame, resnet_weights, memory.resnets[index] if memory else None, strips)
        resnet_memories.append(resnet_memory)
    if plan.upsample_channels is None:
        return frame[None], UpBlockMemory(tuple(resnet_memories), None)
    assert weights.upsample is not None  # made from the same plan, in weights.py
    frames, past = upsample(
        frame,
        weights.upsample,
        memory.upsample if memory else None,
        out_channels=plan.upsample_channels,
        doubles_time=plan.doubles_time,
        strips=strips,
    )
    return frames, UpBlockMemory(tuple(resnet_memories), past)
