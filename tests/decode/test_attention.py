"""The mid-block's attention beside diffusers' module, frame by frame, on random weights."""

from typing import Any

import jax.numpy as jnp
import pytest
import torch
from diffusers.models.autoencoders import autoencoder_kl_hunyuanvideo15 as reference

from stages.decode.attention import AttentionMemory, AttentionWeights, attention
from tests.decode.frame_by_frame import (
    FRAMES,
    HEIGHT,
    WIDTH,
    array,
    expect_equal,
    pointwise_weights,
    random_video,
    run_frames,
)

pytestmark = pytest.mark.compiles


@pytest.mark.parametrize("room", [FRAMES, FRAMES + 3])
def test_attention_is_causal_by_frame_whatever_room_the_cache_has(room: int):
    torch.manual_seed(0)
    module, video = reference.HunyuanVideo15AttnBlock(8), random_video(8)
    weights = AttentionWeights(
        norm=array(module.norm.gamma.flatten()),
        **{name: pointwise_weights(getattr(module, name)) for name in ("to_q", "to_k", "to_v", "proj_out")},
    )
    empty = jnp.full((1, room, HEIGHT * WIDTH, 8), jnp.nan)  # what is not decoded yet must never be read
    position = 0

    def step(frame: Any, memory: Any) -> tuple[Any, Any]:
        nonlocal position
        result = attention(frame, weights, memory or AttentionMemory(empty, empty), jnp.int32(position))
        position += 1
        return result

    expect_equal(run_frames(step, video), module(video))
