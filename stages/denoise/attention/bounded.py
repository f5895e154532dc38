"""Joint attention on TPU for scores whose size is known beforehand: softmax without a running maximum.

Owns the kernel and what it may be used for. Queries and keys of the DiT are RMS-normalised, so its weights alone bound
every score (score_bound.py). exp2 of such a score neither overflows in a sum over all keys nor falls to zero, so that
no maximum is taken, and nothing that was summed is scaled again.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.blocks import (
    LANES,
    SHORT_PRODUCT,
    Arguments,
    Blocks,
    Keys,
    Part,
    as_groups,
    from_groups,
    lay_out_keys,
)
from stages.denoise.attention.padding import pad_end, round_up
from stages.denoise.attention.parts import Heads
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Walk, Window

# Of |query . key| / sqrt(d). With exponents of 96 to the base 2, the sum of 300,000 keys with values up to 2^12 stays
# below the largest float32, 2^128, and a weight with values down to 2^-30 above the smallest normal one, 2^-126.
MAX_SCORE = 96 / math.log2(math.e)
_SUBLANES = 8  # of a vector register of float32
_VMEM_LIMIT_BYTES = 100 * 2**20
_BY_ROWS = (((1,), (1,)), ((), ()))  # of `dot_general`: every row with every row


def bounded_attention(
    video: Heads,
    text: Heads,
    text_mask: Bool[Array, "b l"],
    *,
    num_video_tokens: int,
    window_size: int = 0,
    tiles: Tiles,
    interpret: bool = False,
) -> tuple[Float[Array, "b p n d"], Float[Array, "b l n d"]]:
    """Softmax attention over video and text tokens; the same function as `plain_attention` where scores are bounded.

    Scores are computed transposed, [keys, queries], so that their sum over keys adds vector registers and not the lanes
    within one. Keys are in three parts, which all add to the same sums: the bulk, as many video tokens as fill whole
    tiles, has no mask but that of a window; the tail, the other video tokens, and text are masked. Queries and keys are
    read where they are: nothing is cut off, padded or put together in memory first.

    Args:
        video, text, text_mask, num_video_tokens: as of `Attention`; |query . key| / sqrt(d) is at most MAX_SCORE for
            all tokens.
        window_size: as in `plain_attention`.
        tiles: of the chip.
        interpret: run the kernel's program step by step, on any device: for tests.
    Returns:
        As of `Attention`. Scores, exponentials and sums are float32.
    Source:
        Dao et al. 2022, arXiv:2205.14135 (tiles of keys).
    """
    is_windowed = 0 < window_size < num_video_tokens
    if is_windowed:
        tiles = tiles.for_window()
    keys = lay_out_keys(video, text, text_mask, num_video_tokens=num_video_tokens, tiles=tiles)
    attend = functools.partial(_attend, keys=keys, tiles=tiles, interpret=interpret)
    # Queries of video and of text apart: a tile of queries goes through as many tiles of keys as the widest of them.
    of_video = attend(video[0], window=Window(window_size, num_video_tokens) if is_windowed else None)
    return of_video, attend(text[0], window=None)


def _attend(
    query: Float[Array, "b q n d"], *, keys: Keys, window: Window | None, tiles: Tiles, interpret: bool
) -> Float[Array, "b q n d"]:
    """Attention of some queries to all keys."""
    batch, num_queries, num_heads, size = query.shape
    if not num_queries:
        return query
    tile = min(tiles.query, round_up(num_queries, LANES))
    scaled = (query.astype(jnp.float32) * (math.log2(math.e) * size**-0.5)).astype(query.dtype)
    arguments = keys.call(pad_end(as_groups(scaled), max(tile, num_queries), axis=1))
    groups, num_places, channels = arguments.rows.shape
    walk = Walk(tile, tiles.key, keys.num_tiles, window)
    grid = (batch * num_heads, -(-num_queries // tile), walk.num_steps)
    blocks = Blocks(num_heads, size)
    result = pl.pallas_call(
        functools.partial(_kernel, walk=walk, product=tiles.compute, num_tail=keys.num_tail),
        grid=grid,
        in_specs=tuple(blocks.specs(arguments, keys, walk)),
        out_specs=pl.BlockSpec((1, size, tile), lambda head, row, _: blocks.columns(head, row)),
        out_shape=jax.ShapeDtypeStruct((groups, channels, num_places), query.dtype),
        scratch_shapes=[_Sums(pltpu.VMEM((size, tile), jnp.float32), pltpu.VMEM((_SUBLANES, tile), jnp.float32))],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"), vmem_limit_bytes=_VMEM_LIMIT_BYTES
        ),
        cost_estimate=_cost(grid[0] * tile * keys.count(grid[1], walk), size, arguments),
        interpret=interpret,
        name="bounded_attention",
    )(*arguments)
    return from_groups(result[:, :, :num_queries].swapaxes(1, 2), num_heads=num_heads, size=size)


def _cost(num_scores: int, size: int, arguments: Arguments) -> pl.CostEstimate:
    """What the kernel does in all, for schedules and for `count_flops`: a product for scores and one for values."""
    read_once = (arguments.rows, arguments.rows, arguments.bulk or arguments.tail, arguments.text, arguments.exists)
    size_bytes = sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(read_once))
    return pl.CostEstimate(flops=2 * 2 * size * num_scores, transcendentals=num_scores, bytes_accessed=size_bytes)


class _Sums(NamedTuple):
    """What is summed over keys, in fast memory, float32.

    values: [d, q], each times its weight.
    weights: [8, q]; what the sublanes hold is put together at the end.
    """

    values: Any
    weights: Any


def _kernel(*references: Any, walk: Walk, product: int, num_tail: int) -> None:
    """One tile of queries and, in each step, one tile of the bulk's keys; in the last step also the tail and text.

    Args:
        references: one head's blocks of `Arguments`; the result's, [1, d, q]; and `_Sums`.
        walk: through the bulk.
        product: keys of one product of the bulk.
        num_tail: keys of the tail.
    """
    *read, result, sums = references
    rows, bulk, tail, text, exists = Arguments(*read)
    row, step = pl.program_id(1), pl.program_id(2)
    add = functools.partial(_add, rows, sums)

    @pl.when(step == 0)
    def _start() -> None:
        sums.values[...] = jnp.zeros_like(sums.values)
        sums.weights[...] = jnp.zeros_like(sums.weights)

    add_tile = functools.partial(add, bulk, num_keys=walk.key, product=product)
    if bulk is not None and walk.window is None:
        add_tile()
    elif bulk is not None:
        is_seen, is_whole = walk.sight(row, step)
        shows = functools.partial(walk.shows, row, walk.tile(row, step) * walk.key)
        pl.when(is_seen & is_whole)(add_tile)
        pl.when(is_seen & ~is_whole)(lambda: add_tile(shows=shows))

    @pl.when(step == walk.num_steps - 1)
    def _finish() -> None:
        if tail is not None:
            shows = None if walk.window is None else functools.partial(walk.shows, row, walk.num_tiles * walk.key)
            add(tail, num_keys=num_tail, product=SHORT_PRODUCT, shows=shows)
        if text is not None:
            num_text = text.keys.shape[1]
            add(text, num_keys=num_text, product=SHORT_PRODUCT, shows=lambda places: exists[0, places] > 0)
        total = sums.weights[...].sum(0, keepdims=True)
        result[0] = (sums.values[...] / total).astype(result.dtype)


def _add(
    rows: Any, sums: _Sums, part: Part, *, num_keys: int, product: int, shows: Callable[[slice], Array] | None = None
) -> None:
    """Add the first keys of a block, `product` of them at a time; all, or where `shows` is true, [keys, queries]."""
    for start in range(0, num_keys, product):
        num_left = num_keys - start
        places = slice(start, start + min(product, round_up(num_left, LANES)))
        scores = jax.lax.dot_general(part.keys[0, places], rows[0], _BY_ROWS, preferred_element_type=jnp.float32)
        weights = jnp.exp2(scores)  # [keys, queries]
        values = part.values[0, :, places]
        if shows is not None:
            weights = jnp.where(shows(places), weights, 0)
        if num_left < places.stop - start:  # what is beyond them can be anything, and 0 times that is not always 0
            weights = jnp.where(_is_below(num_left, weights, axis=0), weights, 0)
            values = jnp.where(_is_below(num_left, values, axis=1), values, 0)
        weights = weights.astype(values.dtype)  # first, so that what is summed is what the values are multiplied by
        sums.weights[...] += weights.astype(jnp.float32).reshape(-1, _SUBLANES, weights.shape[1]).sum(0)
        sums.values[...] += jnp.dot(values, weights, preferred_element_type=jnp.float32)


def _is_below(count: int, array: Array, *, axis: int) -> Array:
    """Which entries are among the first `count` of an axis."""
    shape = [size if each == axis else 1 for each, size in enumerate(array.shape)]
    is_below: Array = jax.lax.broadcasted_iota(jnp.int32, shape, axis) < count
    return is_below
