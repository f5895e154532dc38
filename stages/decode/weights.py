"""The decoder's weights: from the VAE's files to JAX arrays, channels last.

Owns the names and axes of diffusers' AutoencoderKLHunyuanVideo15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import jax
from jaxtyping import Array

from stages.decode.attention import AttentionWeights
from stages.decode.config import PREFIX, DecoderConfig, UpBlockPlan
from stages.decode.convolution import AnyArray, arrange_kernel
from stages.decode.layers import ConvWeights, PointwiseWeights, ResnetWeights
from stages.decode.strips import place
from stages.decode.structure import DecoderWeights, UpBlockWeights
from stages.models.weights import check_weights
from stages.tensors.dtypes import DTYPES
from stages.tensors.weight_files import WeightFiles

KERNEL_SIZE = 3  # of every causal convolution, in time, height and width
_CHANNELS_LAST = (2, 3, 4, 1, 0)  # torch's [o, i, t, h, w] -> [t, h, w, i, o]


@dataclass(frozen=True)
class WeightSpec:
    """One tensor of the file: its name and shape there, and how it becomes an array of the decoder."""

    name: str
    file_shape: tuple[int, ...]
    axes: tuple[int, ...]  # the file's axes in the decoder's order
    shape: tuple[int, ...]  # after the axes are reordered and those of size 1 dropped
    is_causal_kernel: bool = False  # which each platform has arranged in its own way (convolution.py)
    sees_pairs: bool = False  # whether it comes after an upsampler that makes two frames of one


def load_weights(
    files: WeightFiles, config: DecoderConfig, *, dtype: str, devices: Sequence[jax.Device]
) -> DecoderWeights[Array]:
    """Load the decoder's weights, tensor by tensor.

    Args:
        files: the component `vae`.
        config: sizes, from its `config.json`.
        dtype: "float32" or "bfloat16".
        devices: of one platform; each holds all weights.
    Returns:
        Kernels of causal convolutions are whole or in parts, as the platform has them.
    Raises:
        CheckpointError: names and shapes other than the config's; all faults at once.
    """
    specs = find_weights(files, config)
    platform, sharding = devices[0].platform, place(devices)

    def load(spec: WeightSpec) -> Any:
        values = files.read(spec.name).astype(DTYPES[dtype], copy=False)
        return jax.device_put(_arrange(values.transpose(spec.axes).reshape(spec.shape), spec, platform), sharding)

    weights: DecoderWeights[Array] = jax.tree.map(load, specs)
    return weights


def describe_arrays(config: DecoderConfig, *, dtype: str, devices: Sequence[jax.Device]) -> DecoderWeights[Any]:
    """Shape, dtype and sharding of each array that `load_weights` gives for the same arguments."""
    platform, sharding = devices[0].platform, place(devices)

    def describe(spec: WeightSpec) -> Any:
        arranged = jax.eval_shape(
            partial(_arrange, spec=spec, platform=platform), jax.ShapeDtypeStruct(spec.shape, DTYPES[dtype])
        )
        return jax.tree.map(lambda part: jax.ShapeDtypeStruct(part.shape, part.dtype, sharding=sharding), arranged)

    arrays: DecoderWeights[Any] = jax.tree.map(describe, describe_weights(config))
    return arrays


def find_weights(files: WeightFiles, config: DecoderConfig) -> DecoderWeights[WeightSpec]:
    """What the decoder needs of the VAE's files; no tensor is read. Raises CheckpointError as load_weights."""
    specs = describe_weights(config)
    check_weights(files, {spec.name: spec.file_shape for spec in jax.tree.leaves(specs)}, prefix=PREFIX)
    return specs


def describe_weights(config: DecoderConfig) -> DecoderWeights[WeightSpec]:
    """Name, shape and layout of every weight of a decoder of these sizes."""
    first, last = config.block_channels[0], config.block_channels[-1]
    num_doublings = [0, *accumulate(plan.doubles_time for plan in config.up_blocks)]  # before each block, and in all
    return DecoderWeights(
        conv_in=_conv("conv_in", config.latent_channels, first),
        mid_resnets=(
            _resnet("mid_block.resnets.0", first, first),
            _resnet("mid_block.resnets.1", first, first),
        ),
        mid_attention=_attention("mid_block.attentions.0", first),
        up_blocks=tuple(
            _up_block(f"up_blocks.{i}", plan, sees_pairs=num_doublings[i] > 0)
            for i, plan in enumerate(config.up_blocks)
        ),
        norm_out=_gain("norm_out", last),
        conv_out=_conv("conv_out", last, config.out_channels, sees_pairs=num_doublings[-1] > 0),
    )


def _arrange(weight: AnyArray, spec: WeightSpec, platform: str) -> Any:
    return arrange_kernel(weight, platform, sees_pairs=spec.sees_pairs) if spec.is_causal_kernel else weight


def _up_block(name: str, plan: UpBlockPlan, *, sees_pairs: bool) -> UpBlockWeights[WeightSpec]:
    channels = [plan.in_channels] + [plan.out_channels] * plan.num_resnets
    resnets = tuple(
        _resnet(f"{name}.resnets.{i}", channels[i], channels[i + 1], sees_pairs=sees_pairs)
        for i in range(plan.num_resnets)
    )
    if plan.upsample_channels is None:
        return UpBlockWeights(resnets=resnets, upsample=None)
    packed_channels = plan.upsample_channels * plan.upsample_factor
    upsample = _conv(f"{name}.upsamplers.0.conv", plan.out_channels, packed_channels, sees_pairs=sees_pairs)
    return UpBlockWeights(resnets=resnets, upsample=upsample)


def _resnet(name: str, in_channels: int, out_channels: int, *, sees_pairs: bool = False) -> ResnetWeights[WeightSpec]:
    is_same = in_channels == out_channels
    return ResnetWeights(
        norm1=_gain(f"{name}.norm1", in_channels),
        conv1=_conv(f"{name}.conv1", in_channels, out_channels, sees_pairs=sees_pairs),
        norm2=_gain(f"{name}.norm2", out_channels),
        conv2=_conv(f"{name}.conv2", out_channels, out_channels, sees_pairs=sees_pairs),
        shortcut=None if is_same else _pointwise(f"{name}.conv_shortcut", in_channels, out_channels),
    )


def _attention(name: str, channels: int) -> AttentionWeights[WeightSpec]:
    return AttentionWeights(
        norm=_gain(f"{name}.norm", channels),
        to_q=_pointwise(f"{name}.to_q", channels, channels),
        to_k=_pointwise(f"{name}.to_k", channels, channels),
        to_v=_pointwise(f"{name}.to_v", channels, channels),
        proj_out=_pointwise(f"{name}.proj_out", channels, channels),
    )


def _conv(name: str, in_channels: int, out_channels: int, *, sees_pairs: bool = False) -> ConvWeights[WeightSpec]:
    size = (KERNEL_SIZE,) * 3
    kernel = WeightSpec(
        f"{PREFIX}{name}.conv.weight",
        (out_channels, in_channels, *size),
        _CHANNELS_LAST,
        (*size, in_channels, out_channels),
        is_causal_kernel=True,
        sees_pairs=sees_pairs,
    )
    return ConvWeights(kernel=kernel, bias=_vector(f"{name}.conv.bias", out_channels))


def _pointwise(name: str, in_channels: int, out_channels: int) -> PointwiseWeights[WeightSpec]:
    kernel = WeightSpec(
        f"{PREFIX}{name}.weight",
        (out_channels, in_channels, 1, 1, 1),
        _CHANNELS_LAST,
        (in_channels, out_channels),
    )
    return PointwiseWeights(kernel=kernel, bias=_vector(f"{name}.bias", out_channels))


def _gain(name: str, channels: int) -> WeightSpec:
    return WeightSpec(f"{PREFIX}{name}.gamma", (channels, 1, 1, 1), (0, 1, 2, 3), (channels,))


def _vector(name: str, channels: int) -> WeightSpec:
    return WeightSpec(f"{PREFIX}{name}", (channels,), (0,), (channels,))
