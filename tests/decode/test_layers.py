"""Each building block beside diffusers' module, frame by frame, on random weights."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.autoencoders import autoencoder_kl_hunyuanvideo15 as reference

from stages.decode.convolution import arrange_kernel
from stages.decode.layers import (
    ConvWeights,
    ResnetWeights,
    causal_conv,
    pointwise,
    resnet,
    rms_norm,
    silu,
    upsample,
)
from stages.machine.flops import count_flops
from tests.decode.frame_by_frame import (
    FRAMES,
    array,
    conv_weights,
    expect_equal,
    pointwise_weights,
    random_video,
    run_frames,
)

pytestmark = pytest.mark.compiles


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_causal_conv_equals_the_whole_video_at_once(platform: str):
    module, video = reference.HunyuanVideo15CausalConv3d(6, 4, kernel_size=3), random_video(6)
    weights = conv_weights(module, platform)
    expect_equal(run_frames(lambda frame, past: causal_conv(frame, weights, past), video), module(video))


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_causal_conv_of_a_constant_is_a_constant_at_every_edge(platform: str):
    weights = ConvWeights(arrange_kernel(jnp.full((3, 3, 3, 1, 1), 1 / 32), platform), jnp.zeros(1))
    frame = jnp.full((1, 2, 3, 1), 32.0)  # all sums are exact
    first, past = causal_conv(frame, weights, None)
    second, _ = causal_conv(frame, weights, past)
    np.testing.assert_array_equal(first, np.full((1, 2, 3, 1), 27.0))
    np.testing.assert_array_equal(first, second)


def test_norm_equals():
    module, video = reference.HunyuanVideo15RMS_norm(6, images=False), random_video(6)
    torch.nn.init.normal_(module.gamma)
    gain = array(module.gamma.flatten())
    expect_equal(run_frames(lambda frame, _: (rms_norm(frame, gain), None), video), module(video))


def test_norm_of_zeros_is_zero():
    assert not np.asarray(rms_norm(jnp.zeros((1, 1, 1, 4)), jnp.ones(4))).any()


def test_silu_equals():
    video = random_video(3)
    expect_equal(np.asarray(silu(array(video))), torch.nn.functional.silu(video))


def test_pointwise_equals():
    module, video = torch.nn.Conv3d(6, 4, kernel_size=1), random_video(6)
    weights = pointwise_weights(module)
    expect_equal(run_frames(lambda frame, _: (pointwise(frame, weights), None), video), module(video))


@pytest.mark.parametrize("out_channels", [6, 4])
def test_resnet_equals(out_channels: int):
    module, video = reference.HunyuanVideo15ResnetBlock(6, out_channels), random_video(6)
    shortcut = module.conv_shortcut
    weights = ResnetWeights(
        norm1=array(module.norm1.gamma.flatten()),
        conv1=conv_weights(module.conv1),
        norm2=array(module.norm2.gamma.flatten()),
        conv2=conv_weights(module.conv2),
        shortcut=None if shortcut is None else pointwise_weights(shortcut),
    )
    expect_equal(run_frames(lambda frame, memory: resnet(frame, weights, memory), video), module(video))


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize("doubles_time", [True, False])
@pytest.mark.parametrize("out_channels", [8, 4])
def test_upsample_equals_and_keeps_the_first_frame_alone(doubles_time: bool, out_channels: int, platform: str):
    module, video = reference.HunyuanVideo15Upsample(8, out_channels, doubles_time), random_video(8)
    weights = conv_weights(module.conv, platform)
    expected = module(video)
    assert expected.shape[2] == (2 * FRAMES - 1 if doubles_time else FRAMES)

    def step(frame: Any, past: Any) -> tuple[Any, Any]:
        return upsample(frame, weights, past, out_channels=out_channels, doubles_time=doubles_time)

    expect_equal(run_frames(step, video), expected)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_the_half_of_an_upsampler_that_the_first_frame_does_not_need_is_not_computed(platform: str):
    def count(*, doubles_time: bool) -> int:
        weights = conv_weights(reference.HunyuanVideo15Upsample(8, 4, doubles_time).conv, platform)
        step = partial(upsample, past=None, out_channels=4, doubles_time=doubles_time)
        return count_flops(jax.make_jaxpr(step)(jnp.zeros((1, 3, 5, 8)), weights).jaxpr)

    assert count(doubles_time=True) == count(doubles_time=False)
