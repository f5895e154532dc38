"""What the kernel of bounded.py reads: its arguments where they lie, and the block of each that a step needs.

Heads stand side by side, [b, t, n * d], as projections make them and chips exchange them, and a block holds one of
them. Nothing is cut off, padded or put together in memory before: a block may reach beyond the end of its array, and
what is there is undefined.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Bool, Float

from stages.denoise.attention.padding import pad_end, round_up
from stages.denoise.attention.parts import Heads
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Walk

LANES = 128  # of a vector register
SHORT_PRODUCT = 512  # keys of one product of what fills no tile


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Part:
    """Keys and values of some tokens, [g, k, c] and [g, c, k], or the block of one head of them that a step reads."""

    keys: Any
    values: Any


class Arguments(NamedTuple):
    """What the kernel is called with, or what it reads of that in a step; None is what there is not.

    rows: queries, scaled for exponents to the base 2, [g, q, c].
    bulk, tail: video's keys, both in the same array: as many as fill whole tiles, and those after them.
    text: its keys, padded to whole registers.
    exists: [b, l, 1], float32, 1 where there is a text token and 0 where there is padding.
    """

    rows: Any
    bulk: Part | None
    tail: Part | None
    text: Part | None
    exists: Any


@dataclass(frozen=True)
class Keys:
    """All keys and values.

    Attributes:
        video: with padding at the end.
        text, exists: as in `Arguments`.
        num_tiles: of the bulk.
        num_tail: video tokens after it.
        block: places of video that are read at once for the tail.
    """

    video: Part
    text: Part
    exists: Float[Array, "b l 1"]
    num_tiles: int
    num_tail: int
    block: int

    @property
    def num_text(self) -> int:
        """Places of text."""
        return self.exists.shape[1]

    def call(self, rows: Float[Array, "g q c"]) -> Arguments:
        """The kernel's arguments."""
        return Arguments(
            rows,
            self.video if self.num_tiles else None,
            self.video if self.num_tail else None,
            *((self.text, self.exists) if self.num_text else (None, None)),
        )

    def count(self, num_rows: int, walk: Walk) -> int:
        """With how many keys the first `num_rows` tiles of queries make scores, all together."""
        return walk.count_tiles(num_rows) * walk.key + num_rows * (round_up(self.num_tail, LANES) + self.num_text)


def lay_out_keys(
    video: Heads, text: Heads, text_mask: Bool[Array, "b l"], *, num_video_tokens: int, tiles: Tiles
) -> Keys:
    """Keys and values as the kernel reads them; arguments as of `Attention`."""
    num_tiles, num_tail = divmod(num_video_tokens, tiles.key)
    num_places = video[0].shape[1]
    if not num_tiles:  # a block may not be longer than its array
        num_places = max(num_places, round_up(num_video_tokens, SHORT_PRODUCT))
    num_text = round_up(text_mask.shape[1], LANES)
    return Keys(
        _lay_out(video, num_places),
        _lay_out(text, num_text),
        pad_end(text_mask.astype(jnp.float32), num_text, axis=1)[..., None],
        num_tiles=num_tiles,
        num_tail=num_tail,
        block=tiles.key if num_tiles else num_places,
    )


def _lay_out(heads: Heads, num_places: int) -> Part:
    _, key, value = (as_groups(array) for array in heads)
    return Part(pad_end(key, num_places, axis=1), pad_end(value.swapaxes(1, 2), num_places, axis=2))


def as_groups(heads: Float[Array, "b t n d"]) -> Float[Array, "g t c"]:
    """Heads side by side where each fills whole registers, [b, t, n * d], and else each for itself, [b * n, t, d]."""
    batch, num_tokens, num_heads, size = heads.shape
    if size % LANES == 0:
        return heads.reshape(batch, num_tokens, num_heads * size)
    return heads.swapaxes(1, 2).reshape(batch * num_heads, num_tokens, size)


def from_groups(groups: Float[Array, "g t c"], *, num_heads: int, size: int) -> Float[Array, "b t n d"]:
    """The inverse of `as_groups`."""
    num_tokens = groups.shape[1]
    if size % LANES == 0:
        return groups.reshape(-1, num_tokens, num_heads, size)
    return groups.reshape(-1, num_heads, num_tokens, size).swapaxes(1, 2)


@dataclass(frozen=True)
class Blocks:
    """Where one head's block is, of `num_heads` of `size` channels each in a batch entry."""

    num_heads: int
    size: int

    def rows(self, head: Any, tile: Any) -> tuple[Any, Any, Any]:
        """Of an array [g, t, c]."""
        group, column = self._place(head)
        return group, tile, column

    def columns(self, head: Any, tile: Any) -> tuple[Any, Any, Any]:
        """Of an array [g, c, t]."""
        group, column = self._place(head)
        return group, column, tile

    def _place(self, head: Any) -> tuple[Any, Any]:
        per_group = self.num_heads if self.size % LANES == 0 else 1
        return jax.lax.div(head, per_group), jax.lax.rem(head, per_group)  # `//` also asks which TPU it is for

    def specs(self, arguments: Arguments, keys: Keys, walk: Walk) -> Arguments:
        """Which block of each argument a step reads."""
        bulk = Part(
            pl.BlockSpec((1, walk.key, self.size), lambda head, row, step: self.rows(head, walk.loaded(row, step))),
            pl.BlockSpec((1, self.size, walk.key), lambda head, row, step: self.columns(head, walk.loaded(row, step))),
        )
        tail = Part(
            pl.BlockSpec((1, keys.block, self.size), lambda head, *_: self.rows(head, keys.num_tiles)),
            pl.BlockSpec((1, self.size, keys.block), lambda head, *_: self.columns(head, keys.num_tiles)),
        )
        text = Part(
            pl.BlockSpec((1, keys.num_text, self.size), lambda head, *_: self.rows(head, 0)),
            pl.BlockSpec((1, self.size, keys.num_text), lambda head, *_: self.columns(head, 0)),
        )
        exists = pl.BlockSpec((1, keys.num_text, 1), lambda head, *_: (jax.lax.div(head, self.num_heads), 0, 0))
        return Arguments(
            pl.BlockSpec((1, walk.query, self.size), lambda head, row, _: self.rows(head, row)),
            arguments.bulk and bulk,
            arguments.tail and tail,
            arguments.text and text,
            None if arguments.exists is None else exists,
        )
