"""Joint attention on GPUs: cuDNN's flash attention for what it can express, the plain form for the rest.

Owns what that is, and the form in which cuDNN wants the mask. None of it has been run on a GPU: what JAX's own XLA form
makes of the same arguments is compared with `plain_attention` on the CPU.
"""

import re
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.plain import plain_attention

DTYPES = (jnp.bfloat16, jnp.float16)  # that cuDNN's kernel takes
_CAPABILITY = re.compile(r"(\d+)\.(\d+)")
MAX_HEAD_SIZE, HEAD_SIZE_MULTIPLE = 128, 8  # on all chips that have the kernel; from Hopper on it takes 256
MIN_COMPUTE_CAPABILITY = (8, 0)  # Ampere; earlier chips have no such kernel


def cudnn_attention(
    query: Float[Array, "b n t d"],
    key: Float[Array, "b n t d"],
    value: Float[Array, "b n t d"],
    text_mask: Bool[Array, "b l"],
    *,
    implementation: Literal["cudnn", "xla"] = "cudnn",
) -> Float[Array, "b n t d"]:
    """Softmax attention over video and text tokens; the same function as `plain_attention` without a window.

    cuDNN takes a mask of all queries by all keys, 4 GB of it for 49 frames of 720p, or a number of keys. Attention does
    not depend on the order of keys, so those that exist are brought to the front, and their number is enough.

    Args:
        query, key, value, text_mask: as in `plain_attention`; of a dtype and a head size that `takes` allows.
        implementation: "xla" makes the same of the same arguments on any device, with all scores in memory: for tests.
    Returns:
        [b, n, t, d], dtype of `value`. Scores and softmax are float32.
    Source:
        Dao et al. 2022, arXiv:2205.14135; limits: `check_is_flash_attention` in jax/_src/cudnn, JAX 0.10.
    """
    num_video_tokens = query.shape[2] - text_mask.shape[1]
    order = jnp.argsort(~text_mask, axis=1, stable=True)[:, None, :, None]

    def bring_forward(array: Array) -> Array:
        video, text = jnp.split(array, [num_video_tokens], axis=2)
        return jnp.concatenate([video, jnp.take_along_axis(text, order, axis=2)], axis=2)

    rows, keys, values = (array.swapaxes(1, 2) for array in (query, bring_forward(key), bring_forward(value)))
    num_keys = num_video_tokens + text_mask.sum(axis=1, dtype=jnp.int32)
    result: Array = jax.nn.dot_product_attention(
        rows, keys, values, key_value_seq_lengths=num_keys, implementation=implementation
    )
    return result.swapaxes(1, 2)


def gpu_attention(
    query: Float[Array, "b n t d"],
    key: Float[Array, "b n t d"],
    value: Float[Array, "b n t d"],
    text_mask: Bool[Array, "b l"],
    *,
    window_size: int = 0,
    compute_capability: str,
) -> Float[Array, "b n t d"]:
    """Softmax attention on a GPU: by cuDNN's kernel where it can do it, else by `plain_attention`.

    Args:
        query, key, value, text_mask, window_size: as in `plain_attention`.
        compute_capability: of the chip, as JAX says it, such as "9.0" of NVIDIA's.
    """
    size, dtype = query.shape[3], query.dtype
    if takes(head_size=size, dtype=dtype, window_size=window_size, compute_capability=compute_capability):
        return cudnn_attention(query, key, value, text_mask)
    return plain_attention(query, key, value, text_mask, window_size=window_size)


def takes(*, head_size: int, dtype: np.dtype[Any], window_size: int, compute_capability: str) -> bool:
    """Whether the kernel can make such an attention on such a chip.

    Args:
        head_size: d.
        dtype: of query, key and value.
        window_size: as in `plain_attention`. A window of cuDNN's reaches back from a query and no further; ours reach
            both ways, and hold all text besides.
        compute_capability: as in `gpu_attention`; another maker's chip has one that is no two numbers.
    """
    numbers = _CAPABILITY.fullmatch(compute_capability)
    return (
        window_size == 0
        and dtype in DTYPES
        and head_size <= MAX_HEAD_SIZE
        and head_size % HEAD_SIZE_MULTIPLE == 0
        and numbers is not None
        and (int(numbers[1]), int(numbers[2])) >= MIN_COMPUTE_CAPABILITY
    )
