"""Joint attention by the splash kernel on TPU: the twin of `plain_attention`.

Owns the masks in the form that the kernel wants, and how keys are divided so that
most of them need no mask. The kernel is JAX's own (docs/decisions/0017).
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernel
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jaxtyping import Array, Bool, Float, Float32
from numpy.typing import NDArray

from stages.denoise.attention.padding import pad_end, round_up
from stages.denoise.attention.plain import mark_keys
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Window

Numbers: TypeAlias = Array | NDArray[Any]
# Keys of one product where fewer are left than fill a tile: 512 take a seventh more cycles per score than 1024, and are
# padded with fewer.
_SHORT_PRODUCT = 512


def splash_attention(
    query: Float[Array, "b n t d"],
    key: Float[Array, "b n t d"],
    value: Float[Array, "b n t d"],
    text_mask: Bool[Array, "b l"],
    *,
    window_size: int = 0,
    tiles: Tiles,
    interpret: bool = False,
) -> Float[Array, "b n t d"]:
    """Softmax attention over video and text tokens; the same function as `plain_attention`.

    Keys are divided in two. The bulk, as many video tokens as fill whole tiles, needs no mask but that of a window.
    The rest, the other video tokens and all text, is padded to a tile and masked. The two results are put together
    by their log-sum-exp, so that no key beyond the tokens ever takes part in a softmax, and so that the mask costs
    time in one tile of keys, not in all.

    Args:
        query, key, value, text_mask, window_size: as in `plain_attention`.
        tiles: of the chip.
        interpret: run the kernel's program step by step, on any device: for tests.
    Returns:
        [b, n, t, d], dtype of `value`. Scores and softmax are float32.
    Source:
        Dao et al. 2022, arXiv:2205.14135 (tiles of keys); Milakov and Gimelshein 2018, arXiv:1805.02867 (log-sum-exp).
    """
    num_video_tokens = query.shape[2] - text_mask.shape[1]
    is_windowed = 0 < window_size < num_video_tokens
    if is_windowed:
        tiles = tiles.for_window()
    num_bulk = num_video_tokens // tiles.key * tiles.key
    is_key = mark_keys(text_mask, key.shape[2] - num_bulk)
    rest = _Keys(key[:, :, num_bulk:], value[:, :, num_bulk:], is_key, first=num_bulk)
    bulk = _Keys(key[:, :, :num_bulk], value[:, :, :num_bulk], None, first=0)
    parts = [part for part in (bulk, rest) if part.keys.shape[2]]
    rows = query * query.shape[3] ** -0.5

    def attend(rows: Array, window: Window | None) -> Array:
        padded = pad_end(rows, round_up(rows.shape[2], tiles.query), axis=2)
        results = [_attend(padded, part, window, tiles=tiles, interpret=interpret) for part in parts]
        return _merge(results)[:, :, : rows.shape[2]].astype(value.dtype)

    if not is_windowed:
        return attend(rows, None)
    video = attend(rows[:, :, :num_video_tokens], Window(window_size, num_video_tokens))
    # separately, because a tile of queries goes through as many tiles of keys as the widest of them
    text = attend(rows[:, :, num_video_tokens:], None)
    return jnp.concatenate([video, text], axis=2)


@dataclass(frozen=True)
class _Keys:
    """A part of the keys.

    keys, values: [b, n, k, d].
    is_key: [b, k], which of them exist; None: all.
    first: the token, counted over all keys, at which the part begins.
    """

    keys: Array
    values: Array
    is_key: Array | None
    first: int


def _attend(
    rows: Float[Array, "b n q d"], part: _Keys, window: Window | None, *, tiles: Tiles, interpret: bool
) -> tuple[Float[Array, "b n q d"], Float32[Array, "b n q"]]:
    """Attention of some queries to some keys, and the log-sum-exp of their scores."""
    product = min(_SHORT_PRODUCT, tiles.compute)
    tile = min(tiles.key, round_up(part.keys.shape[2], product))
    compute = tiles.compute if tile % tiles.compute == 0 else product
    num_places = round_up(part.keys.shape[2], tile)
    keys, values = (pad_end(array, num_places, axis=2) for array in (part.keys, part.values))
    shape = (rows.shape[2], keys.shape[2])
    mask = _FullMask(shape) if window is None else _WindowMask(shape, window, first=part.first)
    run = kernel.make_splash_mha_single_device(
        masks.MultiHeadMask([mask] * rows.shape[1]),
        block_sizes=kernel.BlockSizes(block_q=tiles.query, block_kv=tile, block_kv_compute=compute),
        save_residuals=True,
        interpret=interpret,
    )
    if part.is_key is None:
        result, (lse,) = jax.vmap(run)(rows, keys, values)
        return result, lse
    segments = jnp.pad(part.is_key, ((0, 0), (0, shape[1] - part.is_key.shape[1]))).astype(jnp.int32)
    queries = jnp.ones(shape[0], jnp.int32)  # a query sees the keys of its own segment, 1

    def run_masked(rows: Array, keys: Array, values: Array, segments: Array) -> tuple[Array, tuple[Array]]:
        masked: tuple[Array, tuple[Array]] = run(rows, keys, values, kernel.SegmentIds(queries, segments))
        return masked

    result, (lse,) = jax.vmap(run_masked)(rows, keys, values, segments)
    return result, lse


class _FullMask(masks.FullMask):
    """Every query sees every key. A tile comes back as one cell: of 241 frames at 720p there are 5 * 10^10."""

    def __getitem__(self, _index: tuple[slice, slice]) -> NDArray[Any]:
        return np.ones((1, 1), bool)


class _WindowMask(masks.Mask):
    """Which keys a video query sees: those of its window, and text. Evaluated tile by tile, and in the kernel.

    The kernel calls `mask_function` with `q_sequence` of its queries and the places of its keys. A tile that is seen
    whole or not at all comes back as one cell, so that a mask of 10^10 cells is sorted in seconds.
    """

    def __init__(self, shape: tuple[int, int], window: Window, *, first: int) -> None:
        self._shape, self._window, self._first = shape, window, first
        self.q_sequence = window.start(np.arange(shape[0])).astype(np.int32)  # of each query's window

    @property
    def shape(self) -> tuple[int, ...]:
        """Queries and keys."""
        return self._shape

    def mask_function(self, starts: Numbers, places: Numbers) -> Numbers:
        """Whether a query whose window begins at token `starts` sees the key at `places`; shapes broadcast."""
        visible: Numbers = self._window.shows(starts, places + self._first)
        return visible

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        starts, columns = self.q_sequence[index[0]], index[1]
        lowest, highest = starts[0], starts[-1]  # starts never fall from one token to the next
        first, last = columns.start + self._first, columns.stop - 1 + self._first
        size, num_video_tokens = self._window.size, self._window.num_video_tokens
        is_seen = first >= num_video_tokens or (highest <= first and min(last, num_video_tokens - 1) < lowest + size)
        is_unseen = last < num_video_tokens and (last < lowest or first >= highest + size)
        if is_seen or is_unseen:
            return np.full((1, 1), is_seen)
        places = np.arange(columns.start, columns.stop)
        return np.asarray(self.mask_function(starts[:, None], places[None, :]))


def _merge(results: Sequence[tuple[Float[Array, "b n q d"], Float32[Array, "b n q"]]]) -> Float[Array, "b n q d"]:
    """Attention to all keys from attention to parts of them; in float32 where there are several.

    For a query that sees no key of a part, the kernel's result is NaN, and its log-sum-exp is -inf.
    """
    if len(results) == 1:
        return results[0][0]
    highest = functools.reduce(jnp.maximum, [lse for _, lse in results])
    shares = [jnp.exp(lse - highest)[..., None] for _, lse in results]
    mixed = [
        jnp.where(share > 0, share * result.astype(jnp.float32), 0)
        for share, (result, _) in zip(shares, results, strict=True)
    ]
    merged: Array = functools.reduce(jnp.add, mixed) / functools.reduce(jnp.add, shares)
    return merged
