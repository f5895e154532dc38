"""The sum of products of a causal convolution, in the form that suits the platform.

Owns only the form: edges are padded before, bias and rounding come after. All forms give the same numbers except for
the order of sums, which are float32.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32
from numpy.typing import NDArray

PaddedFrame: TypeAlias = Float[Array, "b _ _ _"]  # [b, h + 2, w + 2, c]; other sizes in every layer
Taps: TypeAlias = tuple[PaddedFrame, PaddedFrame, PaddedFrame]
WholeKernel: TypeAlias = Float[Array, "3 3 3 i o"]  # [t, h, w, i, o]
KernelTaps: TypeAlias = tuple[Float[Array, "3 3 i o"], Float[Array, "3 3 i o"], Float[Array, "3 3 i o"]]
AnyArray = TypeVar("AnyArray", Array, NDArray[Any])
Leaf = TypeVar("Leaf")  # an array; or what stands for one before it is loaded (weights.py), its shape, its sharding
# Of every product: on a TPU float32 matrices are otherwise multiplied as bfloat16 ones. No effect on bfloat16. (Not run
# on a TPU so far; that every product asks for it is tested.)
PRECISION = jax.lax.Precision.HIGHEST
_KERNEL_SIZE = 3
# Of the matrix that has all inputs of a cell in a row; in the vector memory of a v5e, 128 MiB, there is room for it.
_MAX_MATRIX_BYTES = 60 * 2**20


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["oldest", "half_sum", "half_difference", "newest"],
    meta_fields=[],
)
@dataclass(frozen=True)
class PairKernel(Generic[Leaf]):
    """A kernel for two frames at once, in four arrays, [3, 3, i, o] each, float32 (`arrange_for_pairs`)."""

    oldest: Leaf
    half_sum: Leaf
    half_difference: Leaf
    newest: Leaf


Kernel: TypeAlias = WholeKernel | KernelTaps | PairKernel[Array]

_convolve = partial(
    jax.lax.conv_general_dilated, padding="VALID", precision=PRECISION, preferred_element_type=jnp.float32
)


def arrange_kernel(
    kernel: AnyArray, platform: str, *, sees_pairs: bool = False
) -> AnyArray | tuple[AnyArray, AnyArray, AnyArray] | PairKernel[AnyArray]:
    """A whole kernel, [3, 3, 3, i, o], as the platform's form takes it: whole on a TPU, elsewhere in taps.

    Taken out of a whole kernel, each tap would be copied at each call (docs/decisions/0013).

    Args:
        kernel: [t, h, w, i, o].
        platform: of JAX.
        sees_pairs: whether frames come two at a time, for which a CPU has a form with fewer products.
    """
    if platform == "tpu":
        return kernel
    return arrange_for_pairs(kernel) if sees_pairs and platform == "cpu" else split_taps(kernel)


def split_taps(kernel: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
    """An array, [3, 3, i, o], for each tap in time of a whole kernel."""
    return kernel[0], kernel[1], kernel[2]


def arrange_for_pairs(kernel: AnyArray) -> PairKernel[AnyArray]:
    """What `convolve_pair` multiplies by, of a whole kernel, [3, 3, 3, i, o]."""
    first, second, third = split_taps(kernel.astype(np.float32))
    ends = first + third
    return PairKernel(first, (ends + second) / 2, (ends - second) / 2, third)


def count_together(kernel: Kernel) -> int:
    """How many frames a kernel is arranged for."""
    return 2 if isinstance(kernel, PairKernel) else 1


def convolve(taps: Taps, kernel: WholeKernel | KernelTaps) -> Float32[Array, "b h w o"]:
    """3x3x3 convolution at one point in time, in the form that the kernel is arranged for.

    Args:
        taps: the frame and the two before it, padded, the oldest first.
        kernel: of the taps' dtype.
    """
    return convolve_each_tap(taps, kernel) if isinstance(kernel, tuple) else convolve_on_tpu(taps, kernel)


def convolve_still(frame: PaddedFrame, kernel: Kernel) -> Float32[Array, "b h w o"]:
    """3x3x3 convolution where all three taps are one frame, as in the first of a video.

    Of a kernel in parts, the sum of its taps is taken first, in float32: a third of the products are left. A whole
    kernel is a TPU's, whose products are bfloat16 ones, for which the sum would have to be rounded.

    Args:
        frame: padded.
        kernel: of the frame's dtype, or for pairs.
    """
    if isinstance(kernel, PairKernel):
        total = 2 * kernel.half_sum
    elif isinstance(kernel, tuple):
        first, second, third = (tap.astype(jnp.float32) for tap in kernel)
        total = first + third + second
    else:
        return convolve((frame, frame, frame), kernel)
    return _convolve_2d(frame.astype(jnp.float32), total)


def convolve_pair(
    frames: tuple[PaddedFrame, PaddedFrame, PaddedFrame, PaddedFrame], kernel: PairKernel[Array]
) -> Float32[Array, "two_b h w o"]:
    """3x3x3 convolution at two points in time by four 2-D convolutions, where one at a time takes six.

    Source: F(2, 3) of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015), in time alone. Sums and
    differences of frames are taken in float32.

    Args:
        frames: the two frames and the two before them, padded, the oldest first.
        kernel: of `arrange_for_pairs`.
    Returns:
        The older of the two results, then the newer, as one batch.
    """
    first, second, third, fourth = (frame.astype(jnp.float32) for frame in frames)
    oldest = _convolve_2d(first - third, kernel.oldest)
    half_sum = _convolve_2d(second + third, kernel.half_sum)
    half_difference = _convolve_2d(third - second, kernel.half_difference)
    newest = _convolve_2d(second - fourth, kernel.newest)
    return jnp.concatenate([oldest + half_sum + half_difference, half_sum - half_difference - newest])


def convolve_each_tap(taps: Taps, kernel: KernelTaps) -> Float32[Array, "b h w o"]:
    """Three 2-D convolutions, one per tap in time: on a CPU the fastest form over all layers.

    Measured by benchmarks/conv_forms.py.
    """
    totals = [_convolve_2d(tap, weights) for tap, weights in zip(taps, kernel, strict=True)]
    return totals[0] + totals[1] + totals[2]


def convolve_on_tpu(taps: Taps, kernel: WholeKernel) -> Float32[Array, "b h w o"]:
    """One matrix product where that is small, else a convolution per row of the kernel (docs/decisions/0012).

    The TPU compiler splits a batch of one image into a batch of strips, with copies before and after each layer and
    long searches; neither of these forms has such a batch.
    """
    batch, height, width, _ = taps[0].shape
    matrix_bytes = batch * height * width * kernel[..., 0].size * kernel.dtype.itemsize
    return (convolve_by_product if matrix_bytes <= _MAX_MATRIX_BYTES else convolve_each_row)(taps, kernel)


def convolve_by_product(taps: Taps, kernel: WholeKernel) -> Float32[Array, "b h w o"]:
    """One product of a matrix that has the 27 i inputs of a cell in its row."""
    height, width = (size - _KERNEL_SIZE + 1 for size in taps[0].shape[1:3])
    places = [(y, x) for y in range(_KERNEL_SIZE) for x in range(_KERNEL_SIZE)]
    inputs = jnp.concatenate([tap[:, y : y + height, x : x + width] for tap in taps for y, x in places], axis=-1)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    total: Array = jnp.matmul(inputs, matrix, precision=PRECISION, preferred_element_type=jnp.float32)
    return total


def convolve_each_row(taps: Taps, kernel: WholeKernel) -> Float32[Array, "b h w o"]:
    """Three 1-D convolutions along the width, one per row of the kernel; all rows of the frame are their batch."""
    batch, height, width, _ = taps[0].shape
    stacked = jnp.concatenate(taps, axis=-1)
    folded = jnp.moveaxis(kernel, 0, 2).reshape(_KERNEL_SIZE, _KERNEL_SIZE, -1, kernel.shape[-1])  # [h, w, t i, o]
    height, width = height - _KERNEL_SIZE + 1, width - _KERNEL_SIZE + 1
    totals = [
        _convolve(
            stacked[:, y : y + height].reshape(batch * height, width + _KERNEL_SIZE - 1, -1),
            folded[y],
            (1,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        for y in range(_KERNEL_SIZE)
    ]
    return (totals[0] + totals[1] + totals[2]).reshape(batch, height, width, -1)


def _convolve_2d(frame: PaddedFrame, kernel: Float[Array, "3 3 i o"]) -> Float32[Array, "b h w o"]:
    return _convolve(frame, kernel, (1, 1), dimension_numbers=("NHWC", "HWIO", "NHWC"))
