"""Video and text as a block hands them to attention: two sets of heads, put together where a kernel wants one."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.padding import pad_end

Heads: TypeAlias = tuple[Array, Array, Array]  # query, key and value of some tokens, [b, t, n, d] each
# What a block needs of an implementation: (video, text, text_mask, num_video_tokens=...) -> results of video and text.
# `text_mask` is as in `plain_attention`. Video has `num_video_tokens`, and padding after them, which is no key for any
# query; its own rows of the result have no meaning.
Attention: TypeAlias = Callable[..., tuple[Array, Array]]
# (heads, norm's weight, angles, epsilon=...) -> heads, as `norm_and_rotate`.
Prepare: TypeAlias = Callable[..., Array]
# (query, key, value, text_mask) -> result, of video and text in one array, [b, n, t, d], as in `plain_attention`.
JointAttention: TypeAlias = Callable[[Array, Array, Array, Array], Array]


def attend_jointly(
    video: Heads, text: Heads, text_mask: Bool[Array, "b l"], *, num_video_tokens: int, attention: JointAttention
) -> tuple[Float[Array, "b p n d"], Float[Array, "b l n d"]]:
    """An `Attention` by an implementation that wants video and text in one array; padding gives zeros."""
    query, key, value = (
        jnp.concatenate([of_video[:, :num_video_tokens], of_text], axis=1).swapaxes(1, 2)
        for of_video, of_text in zip(video, text, strict=True)
    )
    mixed = attention(query, key, value, text_mask).swapaxes(1, 2)
    return pad_end(mixed[:, :num_video_tokens], video[0].shape[1], axis=1), mixed[:, num_video_tokens:]
