"""Through which tiles of keys a tile of queries goes, with a window around each query or without."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from stages.denoise.attention.plain import window_start

Integers: TypeAlias = Any  # one or many, traced, or numpy's on the host


@dataclass(frozen=True)
class Window:
    """A window of `size` video tokens around each of `num_video_tokens` queries."""

    size: int
    num_video_tokens: int

    def start(self, query: Integers) -> Integers:
        """First of the keys that the query at a position sees."""
        return window_start(query, window_size=self.size, num_video_tokens=self.num_video_tokens)

    def shows(self, start: Integers, token: Integers) -> Integers:
        """Whether a query whose window begins at `start` sees a token; text, which comes after video, all see."""
        return ((token >= start) & (token < start + self.size)) | (token >= self.num_video_tokens)


@dataclass(frozen=True)
class Walk:
    """Through which tiles of the bulk's keys a tile of queries goes, step by step.

    Attributes:
        query, key: tokens of a tile.
        num_tiles: of keys.
        window: of the queries; None: they see all keys.
    """

    query: int
    key: int
    num_tiles: int
    window: Window | None

    @property
    def num_steps(self) -> int:
        """As many as the queries that see most tiles need; one for the rest where there is no tile."""
        if self.window is None:
            return max(1, self.num_tiles)
        num_seen = self.window.size + self.query - 1  # keys, of a whole tile of queries
        return max(1, min(self.num_tiles, (num_seen - 2) // self.key + 2))  # wherever in a tile the first one is

    def tile(self, row: Integers, step: Integers) -> Integers:
        """The tile of keys of a step of the tile `row` of queries; one that is not there, or not seen, is left out."""
        return step if self.window is None else self.window.start(row * self.query) // self.key + step

    def loaded(self, row: Integers, step: Integers) -> Integers:
        """The same for what is in fast memory: a tile that is there. The one before is not loaded again."""
        return jnp.minimum(self.tile(row, step), self.num_tiles - 1)

    def count_tiles(self, num_rows: int) -> int:
        """Tiles of keys that the first `num_rows` tiles of queries go through, all together."""
        if self.window is None:
            return num_rows * self.num_tiles
        is_seen, _ = self.sight(np.arange(num_rows)[:, None], np.arange(self.num_steps))
        return int(is_seen.sum())

    def sight(self, row: Integers, step: Integers) -> tuple[Integers, Integers]:
        """With a window: whether some query of a tile sees a key of a step's tile, and whether all see all of it."""
        assert self.window is not None
        tile = self.tile(row, step)
        lowest, highest = self.window.start(row * self.query), self.window.start((row + 1) * self.query - 1)
        first, end = tile * self.key, (tile + 1) * self.key
        is_seen = (tile < self.num_tiles) & (first < highest + self.window.size)
        return is_seen, (highest <= first) & (end <= lowest + self.window.size)

    def shows(self, row: Integers, first: Integers, places: slice) -> Array:
        """With a window: which of the tokens from `first` on, at `places`, each query of tile `row` sees.

        Returns:
            [places, queries].
        """
        assert self.window is not None
        queries = row * self.query + jax.lax.broadcasted_iota(jnp.int32, (1, self.query), 1)
        tokens = first + jax.lax.broadcasted_iota(jnp.int32, (places.stop - places.start, 1), 0) + places.start
        visible: Array = self.window.shows(self.window.start(queries), tokens)
        return visible
