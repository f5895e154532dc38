"""What the decoder is made of and what it remembers: weights and memory as trees, block by block.

Owns which blocks there are and their order; what a block is made of is in layers.py and attention.py. Leaves are
arrays, or what stands for them before there are any (weights.py, plan.py).
"""

from dataclasses import dataclass
from functools import partial
from typing import Generic

import jax

from stages.decode.attention import AttentionMemory, AttentionWeights
from stages.decode.convolution import Leaf
from stages.decode.layers import ConvWeights, Past, ResnetMemory, ResnetWeights


@partial(jax.tree_util.register_dataclass, data_fields=["resnets", "upsample"], meta_fields=[])
@dataclass(frozen=True)
class UpBlockWeights(Generic[Leaf]):
    """Residual blocks, then the convolution of the upsampler where there is one."""

    resnets: tuple[ResnetWeights[Leaf], ...]
    upsample: ConvWeights[Leaf] | None


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["conv_in", "mid_resnets", "mid_attention", "up_blocks", "norm_out", "conv_out"],
    meta_fields=[],
)
@dataclass(frozen=True)
class DecoderWeights(Generic[Leaf]):
    """All weights of the decoder, in the order in which a frame meets them."""

    conv_in: ConvWeights[Leaf]
    mid_resnets: tuple[ResnetWeights[Leaf], ResnetWeights[Leaf]]
    mid_attention: AttentionWeights[Leaf]
    up_blocks: tuple[UpBlockWeights[Leaf], ...]
    norm_out: Leaf
    conv_out: ConvWeights[Leaf]


@partial(jax.tree_util.register_dataclass, data_fields=["resnets", "upsample"], meta_fields=[])
@dataclass(frozen=True)
class UpBlockMemory(Generic[Leaf]):
    """What an up block remembers."""

    resnets: tuple[ResnetMemory[Leaf], ...]
    upsample: Past[Leaf] | None


@partial(jax.tree_util.register_dataclass, data_fields=["up_blocks", "conv_out"], meta_fields=[])
@dataclass(frozen=True)
class TailMemory(Generic[Leaf]):
    """What all after the mid-block remembers."""

    up_blocks: tuple[UpBlockMemory[Leaf], ...]
    conv_out: Past[Leaf]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["conv_in", "mid_resnets", "mid_attention", "tail"],
    meta_fields=[],
)
@dataclass(frozen=True)
class DecoderMemory(Generic[Leaf]):
    """What is remembered between latent frames: two frames per convolution, keys and values of all."""

    conv_in: Past[Leaf]
    mid_resnets: tuple[ResnetMemory[Leaf], ResnetMemory[Leaf]]
    mid_attention: AttentionMemory[Leaf]
    tail: TailMemory[Leaf]
