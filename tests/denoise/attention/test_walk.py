"""Tiles of keys that a tile of queries goes through, of videos of up to 300,000 tokens."""

import functools

import numpy as np
import pytest

from stages.denoise.attention.plain import window_start
from stages.denoise.attention.walk import Walk, Window


@pytest.mark.parametrize("num_video_tokens", [46_800, 219_600, 299_993])
@pytest.mark.parametrize("window_size", [1, 1_000, 11_520, 46_799])
def test_a_tile_of_queries_goes_through_every_tile_that_it_sees(num_video_tokens, window_size):
    """And through few others: one more than those that the widest tile of queries sees."""
    window = Window(window_size, num_video_tokens)
    walk = Walk(1024, 2048, num_video_tokens // 2048, window)
    rows = np.arange(-(-num_video_tokens // walk.query))
    start = functools.partial(window_start, window_size=window_size, num_video_tokens=num_video_tokens)
    first = start(rows * walk.query) // walk.key
    end = np.minimum((start((rows + 1) * walk.query - 1) + window_size - 1) // walk.key + 1, walk.num_tiles)
    tiles = walk.tile(rows[:, None], np.arange(walk.num_steps))
    is_seen, _ = walk.sight(rows[:, None], np.arange(walk.num_steps))
    for row in rows:
        assert tiles[row][is_seen[row]].tolist() == list(range(first[row], end[row]))
    assert walk.num_steps <= max(end - first) + 1
    assert walk.count_tiles(len(rows)) == sum(end - first)
