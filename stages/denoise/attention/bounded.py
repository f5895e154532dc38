"""Joint attention on TPU for scores whose size is known beforehand: softmax without a running maximum.

Owns the kernel and what it may be used for. Queries and keys of the DiT are RMS-normalised, so its weights alone bound
every score (score_bound.py). exp2 of such a score neither overflows in a sum over all keys nor falls to zero, so that
no maximum is taken, and nothing that was summed is scaled again.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.padding import pad_end, round_up
from stages.denoise.attention.plain import mark_keys
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Walk, Window

# Of |query . key| / sqrt(d). With exponents of 96 to the base 2, the sum of 300,000 keys with values up to 2^12 stays
# below the largest float32, 2^128, and a weight with values down to 2^-30 above the smallest normal one, 2^-126.
MAX_SCORE = 96 / math.log2(math.e)
_SUBLANES = 8  # rows of a vector register of float32
_REST_PRODUCT = 512  # keys of one product of the rest, which is padded to a multiple
_LANES = 128
_VMEM_LIMIT_BYTES = 100 * 2**20
_BY_ROWS = (((1,), (1,)), ((), ()))  # of `dot_general`: every row with every row


def bounded_attention(
    query: Float[Array, "b n t d"],
    key: Float[Array, "b n t d"],
    value: Float[Array, "b n t d"],
    text_mask: Bool[Array, "b l"],
    *,
    window_size: int = 0,
    tiles: Tiles,
    interpret: bool = False,
) -> Float[Array, "b n t d"]:
    """Softmax attention over video and text tokens; the same function as `plain_attention` where scores are bounded.

    Scores are computed transposed, [keys, queries], so that their sum over keys adds vector registers and not the lanes
    within one. Keys are divided in two: the bulk, as many video tokens as fill whole tiles, needs no mask but that of a
    window. The rest, the other video tokens and all text, is masked. Both add to the same sums.

    Args:
        query, key, value, text_mask, window_size: as in `plain_attention`; |query . key| / sqrt(d) is at most MAX_SCORE
            for all tokens.
        tiles: of the chip.
        interpret: run the kernel's program step by step, on any device: for tests.
    Returns:
        [b, n, t, d], dtype of `value`. Scores, exponentials and sums are float32.
    Source:
        Dao et al. 2022, arXiv:2205.14135 (tiles of keys).
    """
    num_video_tokens = query.shape[2] - text_mask.shape[1]
    is_windowed = 0 < window_size < num_video_tokens
    if is_windowed:
        tiles = tiles.for_window()
    num_bulk = num_video_tokens // tiles.key * tiles.key
    keys = _divide(key, value, text_mask, num_bulk=num_bulk)
    rows = (query.astype(jnp.float32) * (math.log2(math.e) * query.shape[3] ** -0.5)).astype(query.dtype)
    attend = functools.partial(_attend, keys=keys, num_bulk=num_bulk, tiles=tiles, interpret=interpret)
    if not is_windowed:
        return attend(rows, window=None)
    video = attend(rows[:, :, :num_video_tokens], window=Window(window_size, num_video_tokens))
    # separately, because a tile of queries goes through as many tiles of keys as the widest of them
    text = attend(rows[:, :, num_video_tokens:], window=None)
    return jnp.concatenate([video, text], axis=2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Keys:
    """Keys and values as the kernel reads them, of all batch entries and heads, or one head's tile of them.

    keys: [b * n, k, d].
    values: [b * n, d, k].
    exist: [b, k, 1], float32, 1 where there is a key and 0 where there is padding; None: all exist.
    """

    keys: Any
    values: Any
    exist: Any


# The bulk, whose length tiles divide, and the rest; None where there is none.
_Parts: TypeAlias = tuple[_Keys | None, _Keys | None]


def _divide(key: Array, value: Array, text_mask: Array, *, num_bulk: int) -> _Parts:
    size, num_keys = key.shape[3], key.shape[2]
    keys = key.reshape(-1, num_keys, size)
    values = value.swapaxes(2, 3).reshape(-1, size, num_keys)
    bulk = _Keys(keys[:, :num_bulk], values[:, :, :num_bulk], None) if num_bulk else None
    if num_bulk == num_keys:
        return bulk, None
    num_rest = round_up(num_keys - num_bulk, _REST_PRODUCT)
    exist = mark_keys(text_mask, num_keys - num_bulk)
    rest = _Keys(
        pad_end(keys[:, num_bulk:], num_rest, axis=1),
        pad_end(values[:, :, num_bulk:], num_rest, axis=2),
        pad_end(exist.astype(jnp.float32), num_rest, axis=1)[..., None],
    )
    return bulk, rest


def _attend(
    rows: Float[Array, "b n q d"],
    *,
    keys: _Parts,
    num_bulk: int,
    window: Window | None,
    tiles: Tiles,
    interpret: bool,
) -> Float[Array, "b n q d"]:
    """Attention of some queries, scaled for exponents to the base 2, to all keys."""
    num_heads, num_queries, size = rows.shape[1:]
    bulk, rest = keys
    tile = min(tiles.query, round_up(num_queries, _LANES))
    walk = Walk(tile, tiles.key, num_bulk // tiles.key, window)
    padded = pad_end(rows.reshape(-1, num_queries, size), round_up(num_queries, tile), axis=1)
    queries = pl.BlockSpec((1, tile, size), lambda head, row, _: (head, row, 0))
    bulk_tile = _Keys(
        pl.BlockSpec((1, tiles.key, size), lambda head, row, step: (head, walk.loaded(row, step), 0)),
        pl.BlockSpec((1, size, tiles.key), lambda head, row, step: (head, 0, walk.loaded(row, step))),
        None,
    )
    grid = (len(padded), padded.shape[1] // tile, walk.num_steps)
    num_keys = walk.count_tiles(grid[1]) * tiles.key + (grid[1] * rest.keys.shape[1] if rest else 0)
    result = pl.pallas_call(
        functools.partial(_kernel, walk=walk, product=tiles.compute, num_bulk=num_bulk),
        grid=grid,
        in_specs=(queries, bulk and bulk_tile, rest and _whole(rest, num_heads)),
        out_specs=pl.BlockSpec((1, size, tile), lambda head, row, _: (head, 0, row)),
        out_shape=jax.ShapeDtypeStruct((len(padded), size, padded.shape[1]), rows.dtype),
        scratch_shapes=[_Sums(pltpu.VMEM((size, tile), jnp.float32), pltpu.VMEM((_SUBLANES, tile), jnp.float32))],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=_VMEM_LIMIT_BYTES
        ),
        cost_estimate=_cost(len(padded) * tile * num_keys, rows, keys),
        interpret=interpret,
        name="bounded_attention",
    )(padded, bulk, rest)
    return result[:, :, :num_queries].reshape(*rows.shape[:2], size, num_queries).swapaxes(2, 3)


def _cost(num_scores: int, rows: Array, keys: _Parts) -> pl.CostEstimate:
    """What the kernel does in all, for schedules and for `count_flops`: a product for scores and one for values."""
    size_bytes = sum(array.size * array.dtype.itemsize for array in jax.tree.leaves((rows, rows, keys)))
    return pl.CostEstimate(
        flops=2 * 2 * rows.shape[3] * num_scores, transcendentals=num_scores, bytes_accessed=size_bytes
    )


def _whole(rest: _Keys, num_heads: int) -> _Keys:
    """Blocks that are one head's whole rest, and whole batch entry's mask."""
    keys, values, exist = rest.keys.shape[1:], rest.values.shape[1:], rest.exist.shape[1:]
    return _Keys(
        pl.BlockSpec((1, *keys), lambda head, *_: (head, 0, 0)),
        pl.BlockSpec((1, *values), lambda head, *_: (head, 0, 0)),
        pl.BlockSpec((1, *exist), lambda head, *_: (head // num_heads, 0, 0)),
    )


class _Sums(NamedTuple):
    """What is summed over keys, in fast memory, float32.

    values: [d, q], each times its weight.
    weights: [8, q]; what the sublanes hold is put together at the end.
    """

    values: Any
    weights: Any


def _kernel(
    rows: Any, bulk: _Keys | None, rest: _Keys | None, result: Any, sums: _Sums,
    *, walk: Walk, product: int, num_bulk: int,
) -> None:  # fmt: skip
    """One tile of queries and, in each step, one tile of the bulk's keys; in the last step also the rest.

    Args:
        rows: [1, q, d], scaled for exponents to the base 2.
        bulk, rest: keys and values of one head.
        result: [1, d, q].
    """
    row, step = pl.program_id(1), pl.program_id(2)
    add = functools.partial(_add, rows, sums)

    @pl.when(step == 0)
    def _start() -> None:
        sums.values[...] = jnp.zeros_like(sums.values)
        sums.weights[...] = jnp.zeros_like(sums.weights)

    if bulk is not None and walk.window is None:
        add(bulk, product)
    elif bulk is not None:
        is_seen, is_whole = walk.sight(row, step)
        shows = functools.partial(walk.shows, row, walk.tile(row, step) * walk.key)
        pl.when(is_seen & is_whole)(lambda: add(bulk, product))
        pl.when(is_seen & ~is_whole)(lambda: add(bulk, product, shows))

    def shows_rest(places: slice) -> Array:
        assert rest is not None
        exist: Array = rest.exist[0, places] > 0
        return exist if walk.window is None else exist & walk.shows(row, num_bulk, places)

    @pl.when(step == walk.num_steps - 1)
    def _finish() -> None:
        if rest is not None:
            add(rest, _REST_PRODUCT, shows_rest)
        total = sums.weights[...].sum(0, keepdims=True)
        result[0] = (sums.values[...] / total).astype(result.dtype)


def _add(rows: Any, sums: _Sums, part: _Keys, product: int, shows: Callable[[slice], Array] | None = None) -> None:
    """Add the keys of a tile, `product` of them at a time; all of them, or where `shows` is true, [keys, queries]."""
    for start in range(0, part.keys.shape[1], product):
        places = slice(start, start + product)
        scores = jax.lax.dot_general(part.keys[0, places], rows[0], _BY_ROWS, preferred_element_type=jnp.float32)
        weights = jnp.exp2(scores)  # [keys, queries]
        if shows is not None:
            weights = jnp.where(shows(places), weights, 0)
        values = part.values[0, :, places]
        weights = weights.astype(values.dtype)  # first, so that what is summed is what the values are multiplied by
        sums.weights[...] += weights.astype(jnp.float32).reshape(-1, _SUBLANES, weights.shape[1]).sum(0)
        sums.values[...] += jnp.dot(values, weights, preferred_element_type=jnp.float32)
