"""Joint attention of video and text tokens: which tokens see which, and the plain form that runs on any device.

Owns the mask rules and the size of temporaries. Projections, norms and rotary embedding stay with diffusers' module
(torch_bridge.py). A kernel for one kind of chip is a twin of it.
"""

import functools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray

MAX_SCORES = 2**23  # in memory at a time, all of one (batch, head): 32 MiB in float32

_Numbers = TypeVar("_Numbers", Array, NDArray[Any])


def plain_attention(
    query: Float[Array, "b n t d"],
    key: Float[Array, "b n t d"],
    value: Float[Array, "b n t d"],
    text_mask: Bool[Array, "b l"],
    *,
    window_size: int = 0,
    max_scores: int = MAX_SCORES,
) -> Float[Array, "b n t d"]:
    """Softmax attention over video and text tokens, one head at a time and in chunks of queries.

    Head by head took 0.28 s, all heads at once in chunks of queries 0.37 to 0.80 s (two cores, 2 x 8 heads x 64, 2,064
    tokens).

    Args:
        query, key, value: [b, n, t, d], any float dtype; t = s video tokens, then l text tokens (s may be 0).
        text_mask: [b, l], True where a text token exists. A padded token is no key for any query, and its own
            row of the result has no meaning. Each batch entry has at least one key, of video or of valid text.
        window_size: 0, or the number of video tokens that a video token sees: the nearest ones in sequence order (row
            by row, frame by frame), see `window_start`. Text tokens see all, and are seen by all.
        max_scores: > 0; upper bound on the entries of a score matrix, so that none is as large as t x t.
    Returns:
        [b, n, t, d], dtype of `value`. Scores and softmax are float32.
    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.
    """
    _, num_heads, num_tokens, _ = query.shape
    num_video_tokens = num_tokens - text_mask.shape[1]
    is_key = mark_keys(text_mask, num_tokens)
    is_local = 0 < window_size < num_video_tokens

    def attend_head(head: tuple[Array, Array, Array, Array]) -> Array:
        rows, keys, values, visible = head
        if not is_local:
            return _attend_all(rows, keys, values, visible, max_scores=max_scores)
        video = _attend_window(
            rows[:num_video_tokens], keys, values, visible, window_size=window_size, max_scores=max_scores
        )
        text = _attend_all(rows[num_video_tokens:], keys, values, visible, max_scores=max_scores)
        return jnp.concatenate([video, text])

    heads = [array.reshape(-1, *array.shape[2:]) for array in (query, key, value)]
    result: Array = jax.lax.map(attend_head, (*heads, jnp.repeat(is_key, num_heads, axis=0)))
    return result.reshape(query.shape)


def mark_keys(text_mask: Bool[Array, "b l"], num_keys: int) -> Bool[Array, "b k"]:
    """Which of the last `num_keys` >= l tokens exist: all video tokens among them, and text as its mask says."""
    num_video = num_keys - text_mask.shape[1]
    return jnp.concatenate([jnp.ones((text_mask.shape[0], num_video), bool), text_mask], axis=1)


def window_start(position: _Numbers, *, window_size: int, num_video_tokens: int) -> _Numbers:
    """First of the `window_size` video tokens that the video token at `position` sees.

    The window is centred, and shifted at both ends of the sequence so that it always holds `window_size` tokens.

    Args:
        position: any shape, integers, on the host or on a device, 0 <= position < num_video_tokens (larger ones are
            treated as the last).
        window_size: 1 <= window_size <= num_video_tokens.
    Returns:
        Shape and dtype of `position`, where that is.
    """
    return (position - window_size // 2).clip(0, num_video_tokens - window_size)


def _attend_all(
    query: Float[Array, "q d"],
    key: Float[Array, "k d"],
    value: Float[Array, "k d"],
    visible: Bool[Array, " k"],
    *,
    max_scores: int,
) -> Float[Array, "q d"]:
    """Every query sees every visible key."""
    chunk_size = _chunk_size(query.shape[0], key.shape[0], max_scores)
    chunks = _split_rows(query, chunk_size)
    result: Array = jax.lax.map(lambda rows: _weigh(rows, key, value, visible), chunks)
    return result.reshape(-1, query.shape[1])[: query.shape[0]]


def _attend_window(
    query: Float[Array, "s d"],
    key: Float[Array, "t d"],
    value: Float[Array, "t d"],
    visible: Bool[Array, " t"],
    *,
    window_size: int,
    max_scores: int,
) -> Float[Array, "s d"]:
    """Every video query sees its window and all visible text keys; keys outside a chunk's windows are not read."""
    num_video_tokens = query.shape[0]
    num_text = key.shape[0] - num_video_tokens
    start_of = functools.partial(window_start, window_size=window_size, num_video_tokens=num_video_tokens)
    # A chunk of c queries reads window_size + c - 1 keys; c up to the window keeps at least half of them useful.
    chunk_size = min(_chunk_size(num_video_tokens, 2 * window_size + num_text, max_scores), window_size)
    span = min(num_video_tokens, window_size + chunk_size - 1)

    def attend_chunk(chunk: tuple[Array, Array]) -> Array:
        rows, offset = chunk
        first = jnp.minimum(start_of(offset), num_video_tokens - span)
        near = [
            jnp.concatenate([jax.lax.dynamic_slice_in_dim(array, first, span), array[num_video_tokens:]])
            for array in (key, value)
        ]
        starts = start_of(offset + jnp.arange(chunk_size))[:, None]
        position = first + jnp.arange(span)
        in_window = (starts <= position) & (position < starts + window_size)
        text = jnp.broadcast_to(visible[num_video_tokens:], (chunk_size, num_text))
        return _weigh(rows, near[0], near[1], jnp.concatenate([in_window, text], axis=1))

    chunks = _split_rows(query, chunk_size)
    offsets = jnp.arange(chunks.shape[0]) * chunk_size
    result: Array = jax.lax.map(attend_chunk, (chunks, offsets))
    return result.reshape(-1, query.shape[1])[:num_video_tokens]


def _weigh(
    query: Float[Array, "q d"],
    key: Float[Array, "k d"],
    value: Float[Array, "k d"],
    visible: Bool[Array, "*q k"],
) -> Float[Array, "q d"]:
    """Mean of the values, weighted by the softmax of the scores; invisible keys have weight zero."""
    scores = jnp.matmul(query, key.T, preferred_element_type=jnp.float32) * query.shape[1] ** -0.5
    scores = jnp.where(visible, scores, -jnp.inf)
    weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True))
    total = weights.sum(axis=-1, keepdims=True)
    mean = jnp.matmul(weights.astype(value.dtype), value, preferred_element_type=jnp.float32) / total
    return mean.astype(value.dtype)


def _chunk_size(num_queries: int, num_keys: int, max_scores: int) -> int:
    """Queries per chunk: as few chunks as the bound allows, of equal size."""
    largest = max(1, max_scores // num_keys)
    num_chunks = -(-num_queries // largest)
    return -(-num_queries // num_chunks)


def _split_rows(rows: Float[Array, "q d"], chunk_size: int) -> Float[Array, "chunks c d"]:
    """Rows in chunks of equal size, the last padded with zeros."""
    padding = -rows.shape[0] % chunk_size
    return jnp.pad(rows, ((0, padding), (0, 0))).reshape(-1, chunk_size, rows.shape[1])
