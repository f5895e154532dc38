"""The arithmetic of the causal convolution: three padded frames to one, in the form that suits the platform.

Which frames those are, and how their edges are padded, is said in layers.py.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

PaddedFrame = Float[Array, "b _ _ _"]  # [b, h + 2, w + 2, c]; other sizes in every layer

# Of every product: on a TPU float32 matrices are otherwise multiplied as bfloat16 ones. No effect on bfloat16. (Not run
# on a TPU so far; that every product asks for it is tested.)
PRECISION = jax.lax.Precision.HIGHEST
KERNEL_SIZE = 3  # of every causal convolution, in time, height and width
# Both for CPU, with the figures in docs/decisions/0013.
BLOCK_CELLS = 384
BLOCKS_FROM_CHANNELS = 128


def convolve_padded(
    frames: tuple[PaddedFrame, PaddedFrame, PaddedFrame], kernel: Float[Array, "3 3 3 i o"]
) -> Float32[Array, "b h w o"]:
    """3x3x3 convolution of three frames that are padded already, from the oldest to the present.

    There are two forms, and the platform that is compiled for decides, because only XLA's CPU backend needs the second
    (docs/decisions/0013).

    Args:
        frames: [b, h + 2, w + 2, i] each.
        kernel: [t, h, w, i, o], of the frames' dtype.
    Returns:
        [b, h, w, o], float32.
    """
    if kernel.shape[3] < BLOCKS_FROM_CHANNELS:
        return convolve_by_taps(frames, kernel)
    total: Array = jax.lax.platform_dependent(frames, kernel, cpu=convolve_by_blocks, default=convolve_by_taps)
    return total


def convolve_by_taps(
    frames: tuple[PaddedFrame, PaddedFrame, PaddedFrame], kernel: Float[Array, "3 3 3 i o"]
) -> Float32[Array, "b h w o"]:
    """The sum of three 2-D convolutions, one per tap in time; as `convolve_padded`."""
    taps = [
        jax.lax.conv_general_dilated(
            frame,
            kernel[time],
            window_strides=(1, 1),
            padding="VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision=PRECISION,
            preferred_element_type=jnp.float32,
        )
        for time, frame in enumerate(frames)
    ]
    return taps[0] + taps[1] + taps[2]


def convolve_by_blocks(
    frames: tuple[PaddedFrame, PaddedFrame, PaddedFrame], kernel: Float[Array, "3 3 3 i o"]
) -> Float32[Array, "b h w o"]:
    """One matrix product per block of rows, over all 27 places of the kernel side by side; as `convolve_padded`.

    A block's cells with their neighbours stay in the cache between being laid out and being multiplied.
    """
    height, width = frames[0].shape[1] - 2, frames[0].shape[2] - 2
    num_rows = max(1, min(height, BLOCK_CELLS // width))
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def convolve_rows(first: Int[Array, ""]) -> Float32[Array, "b rows w o"]:
        blocks = [jax.lax.dynamic_slice_in_dim(frame, first, num_rows + 2, axis=1) for frame in frames]
        places = [
            block[:, row : row + num_rows, column : column + width]
            for block in blocks
            for row in range(KERNEL_SIZE)
            for column in range(KERNEL_SIZE)
        ]
        cells = jnp.concatenate(places, axis=-1)
        return jnp.matmul(cells, matrix, precision=PRECISION, preferred_element_type=jnp.float32)

    # the last block ends where the frame does, and so may hold rows of the block before it
    num_blocks = -(-height // num_rows)
    firsts = jnp.minimum(jnp.arange(num_blocks) * num_rows, height - num_rows)
    blocks = jax.lax.map(convolve_rows, firsts)
    batch, channels = blocks.shape[1], blocks.shape[-1]
    rows = jnp.moveaxis(blocks[:-1], 0, 1).reshape(batch, (num_blocks - 1) * num_rows, width, channels)
    return jnp.concatenate([rows, blocks[-1][:, num_blocks * num_rows - height :]], axis=1)
