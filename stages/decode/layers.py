"""The decoder's building blocks, each for ONE frame and the memory of the frames before it.

A frame is [b, h, w, c]; two that are convolved together are a batch of 2 b. A function takes the memory that the frame
before left and returns its own; `None` stands for "no frame before", where a causal convolution sees the frame itself
instead (replicate padding in time). With `strips`, the function runs inside `jax.shard_map`: frame and memory are those
of one device's strip; None: of all columns.
Source of all blocks: autoencoder_kl_hunyuanvideo15.py of diffusers 0.42.
"""

from dataclasses import dataclass
from functools import partial
from typing import Generic

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from stages.decode.convolution import (
    PRECISION,
    Leaf,
    PaddedFrame,
    PairKernel,
    convolve,
    convolve_pair,
    convolve_still,
)
from stages.decode.strips import Strips, add_neighbours

Frame = Float[Array, "b h w c"]
Past = tuple[Leaf, Leaf]  # the two frames before the present one, the older first

NORM_EPS = 1e-12  # torch.nn.functional.normalize's default


@partial(jax.tree_util.register_dataclass, data_fields=["kernel", "bias"], meta_fields=[])
@dataclass(frozen=True)
class ConvWeights(Generic[Leaf]):
    """Causal convolution: kernel [t, h, w, i, o] with t from the oldest frame to the present, bias [o].

    The kernel is whole or in parts, [h, w, i, o] each: `arrange_kernel` in convolution.py.
    """

    kernel: Leaf | tuple[Leaf, Leaf, Leaf] | PairKernel[Leaf]
    bias: Leaf


@partial(jax.tree_util.register_dataclass, data_fields=["kernel", "bias"], meta_fields=[])
@dataclass(frozen=True)
class PointwiseWeights(Generic[Leaf]):
    """Convolution of size 1: kernel [i, o], bias [o]."""

    kernel: Leaf
    bias: Leaf


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["norm1", "conv1", "norm2", "conv2", "shortcut"],
    meta_fields=[],
)
@dataclass(frozen=True)
class ResnetWeights(Generic[Leaf]):
    """Residual block; the norms are gains [c]; `shortcut` only where the channels change."""

    norm1: Leaf
    conv1: ConvWeights[Leaf]
    norm2: Leaf
    conv2: ConvWeights[Leaf]
    shortcut: PointwiseWeights[Leaf] | None


@partial(jax.tree_util.register_dataclass, data_fields=["conv1", "conv2"], meta_fields=[])
@dataclass(frozen=True)
class ResnetMemory(Generic[Leaf]):
    """The last two inputs of a residual block's convolutions, padded."""

    conv1: Past[Leaf]
    conv2: Past[Leaf]


def causal_conv(
    frame: Float[Array, "n h w i"],
    weights: ConvWeights[Array],
    past: Past[PaddedFrame] | None,
    strips: Strips | None = None,
) -> tuple[Float[Array, "n h w o"], Past[PaddedFrame]]:
    """3x3x3 convolution that sees the frame and the two before it, edges repeated in space and time.

    Args:
        frame: [b, h, w, i], the present frame; of a kernel for pairs that and the next, [2 b, h, w, i], if there is a
            past.
        weights: kernel [3, 3, 3, i, o], whole or in parts, and bias [o], of the frame's dtype.
        past: the two frames before, padded, the older first; None: none, and the frame itself is used for them.
        strips: how the frame is spread over devices.
    Returns:
        As many frames, [b, h, w, o], in the frame's dtype (sums are float32), and the past of the next one.
    """
    kernel, padded = weights.kernel, _pad_edges(frame, strips)
    if past is None:
        total, past = convolve_still(padded, kernel), (padded, padded)
    elif isinstance(kernel, PairKernel):
        older, newer = jnp.split(padded, 2)
        total, past = convolve_pair((*past, older, newer), kernel), (older, newer)
    else:
        total, past = convolve((*past, padded), kernel), (past[1], padded)
    return _add_bias(total, weights.bias).astype(frame.dtype), past


def pointwise(cells: Float[Array, "*cells i"], weights: PointwiseWeights[Array]) -> Float[Array, "*cells o"]:
    """Convolution of size 1: the same matrix for every cell; sums are float32."""
    total: Array = jnp.matmul(cells, weights.kernel, precision=PRECISION, preferred_element_type=jnp.float32)
    return _add_bias(total, weights.bias).astype(cells.dtype)


def rms_norm(cells: Float[Array, "*cells c"], gain: Float[Array, " c"]) -> Float[Array, "*cells c"]:
    """Scale each cell's channels to a root mean square of 1, times `gain`.

    The norm and the scale are float32; with bfloat16 the result is rounded after each step, as in torch.
    """
    dtype = cells.dtype
    wide = cells.astype(jnp.float32)
    length = jnp.sqrt(jnp.sum(wide * wide, axis=-1, keepdims=True))
    unit = (wide * (1 / jnp.maximum(length, NORM_EPS))).astype(dtype)
    scale = float(cells.shape[-1]) ** 0.5
    scaled: Array = (unit.astype(jnp.float32) * scale).astype(dtype)
    return scaled * jnp.broadcast_to(gain, scaled.shape)


def silu(cells: Float[Array, "*cells c"]) -> Float[Array, "*cells c"]:
    """x * sigmoid(x), in float32."""
    return jax.nn.silu(cells.astype(jnp.float32)).astype(cells.dtype)


def resnet(
    frame: Float[Array, "b h w i"],
    weights: ResnetWeights[Array],
    memory: ResnetMemory[Array] | None,
    strips: Strips | None = None,
) -> tuple[Float[Array, "b h w o"], ResnetMemory[Array]]:
    """Two times norm, SiLU, causal convolution; added to the frame, through `shortcut` where channels change."""
    past1, past2 = (memory.conv1, memory.conv2) if memory else (None, None)
    hidden, past1 = causal_conv(silu(rms_norm(frame, weights.norm1)), weights.conv1, past1, strips)
    hidden, past2 = causal_conv(silu(rms_norm(hidden, weights.norm2)), weights.conv2, past2, strips)
    residual = pointwise(frame, weights.shortcut) if weights.shortcut else frame
    return hidden + residual, ResnetMemory(conv1=past1, conv2=past2)


def upsample(
    frame: Float[Array, "n h w i"],
    weights: ConvWeights[Array],
    past: Past[PaddedFrame] | None,
    *,
    out_channels: int,
    doubles_time: bool,
    strips: Strips | None = None,
) -> tuple[Float[Array, "f n h2 w2 o"], Past[PaddedFrame]]:
    """Double height and width, and time for all but the first frame, by spreading channels over cells.

    Args:
        frame: [b, h, w, i], or two, as for `causal_conv`.
        weights: kernel [3, 3, 3, i, p], whole or in parts, with p = out_channels times the cells made of one.
        past: None for the first frame of the video, which stays a single frame.
        out_channels: channels of the result.
        doubles_time: whether one frame becomes two.
        strips: how the frame is spread over devices.
    Returns:
        [f, b, 2h, 2w, out_channels] with f = 1 or 2 (of two frames [f, 2 b, ...]), and the past of the next frame.
    """
    if doubles_time and past is None:
        weights = _keep_one_frame(weights, out_channels)
    packed, next_past = causal_conv(frame, weights, past, strips)
    num_frames = 2 if doubles_time and past is not None else 1
    batch, height, width, _ = frame.shape
    packed = packed.reshape(batch, height, width, num_frames, 2, 2, out_channels)
    repeats = num_frames * 4 * out_channels // frame.shape[-1]
    packed = packed + jnp.repeat(frame, repeats, axis=-1).reshape(packed.shape)
    spread = packed.transpose(3, 0, 1, 4, 2, 5, 6)
    return spread.reshape(num_frames, batch, 2 * height, 2 * width, out_channels), next_past


def _keep_one_frame(weights: ConvWeights[Array], out_channels: int) -> ConvWeights[Array]:
    """The weights of an upsampler that doubles time, reduced to the one frame that it makes of the video's first.

    The weights are reduced and not the result, so that the other half of it is not computed.
    """

    def keep(array: Float[Array, "*sizes p"]) -> Float[Array, "*sizes half"]:
        cells = array.reshape(*array.shape[:-1], 4, 2 * out_channels)
        return cells[..., :out_channels].reshape(*array.shape[:-1], 4 * out_channels)

    kept: ConvWeights[Array] = jax.tree.map(keep, weights)
    return kept


def _add_bias(total: Float32[Array, "*cells o"], bias: Float[Array, " o"]) -> Float32[Array, "*cells o"]:
    return total + jnp.broadcast_to(bias.astype(jnp.float32), total.shape)


def _pad_edges(frame: Float[Array, "b h w c"], strips: Strips | None) -> Float[Array, "b h_padded w_padded c"]:
    """Repeat the outer rows and columns once. Two concatenations compile and run faster than jnp.pad's four."""
    rows = jnp.concatenate([frame[:, :1], frame, frame[:, -1:]], axis=1)
    if strips:
        return add_neighbours(rows, strips)
    return jnp.concatenate([rows[:, :, :1], rows, rows[:, :, -1:]], axis=2)
