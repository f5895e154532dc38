"""A block of the decoder and diffusers' module for it on one random video, ours frame by frame."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from stages.decode.convolution import arrange_kernel
from stages.decode.layers import ConvWeights, PointwiseWeights

TOLERANCE = 2e-5  # float32, sums of a few hundred products in another order
FRAMES, HEIGHT, WIDTH = 4, 3, 5


def random_video(channels: int) -> torch.Tensor:
    return torch.randn(1, channels, FRAMES, HEIGHT, WIDTH)


def array(tensor: torch.Tensor) -> jnp.ndarray:
    return jnp.asarray(tensor.detach().numpy())


def conv_weights(module: Any, platform: str = "cpu") -> ConvWeights:
    """In the form of a platform, which runs on any."""
    kernel = array(module.conv.weight.permute(2, 3, 4, 1, 0))
    return ConvWeights(arrange_kernel(kernel, platform), array(module.conv.bias))


def pointwise_weights(module: torch.nn.Conv3d) -> PointwiseWeights:
    return PointwiseWeights(array(module.weight[:, :, 0, 0, 0].T), array(module.bias))


def run_frames(step: Callable[[Any, Any], tuple[Any, Any]], video: torch.Tensor) -> np.ndarray:
    """Run a block over the frames one after the other; [1, c, f, h, w] in and out."""
    memory, results = None, []
    for frame in array(video.permute(2, 0, 3, 4, 1)):
        result, memory = step(frame, memory)
        results.append(result if result.ndim == 5 else result[None])
    return np.asarray(jnp.concatenate(results)).transpose(1, 4, 0, 2, 3)


def expect_equal(ours: np.ndarray, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=TOLERANCE, rtol=TOLERANCE)
