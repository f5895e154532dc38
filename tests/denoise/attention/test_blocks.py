"""Where the bounded kernel finds the heads that it reads."""

import jax.numpy as jnp
import numpy as np
import pytest

from stages.denoise.attention.blocks import Blocks, as_groups, from_groups, lay_out_keys
from stages.denoise.attention.tiles import Tiles
from stages.denoise.attention.walk import Walk

TILES = Tiles(query=128, key=256, compute=128)


def build(num_tokens: int, *, size: int = 128) -> jnp.ndarray:
    shape = (2, num_tokens, 3, size)
    return jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)


@pytest.mark.parametrize(
    ("size", "shape"), [(128, (2, 5, 384)), (256, (2, 5, 768)), (12, (6, 5, 12)), (64, (6, 5, 64))]
)
def test_heads_that_fill_whole_registers_stand_side_by_side(size: int, shape: tuple[int, ...]):
    heads = build(5, size=size)
    groups = as_groups(heads)
    assert groups.shape == shape
    np.testing.assert_array_equal(from_groups(groups, num_heads=3, size=size), heads)


@pytest.mark.parametrize("size", [128, 12])
def test_a_block_holds_one_head(size: int):
    heads, blocks = build(5, size=size), Blocks(3, size)
    groups = as_groups(heads)
    for head in range(6):
        group, _, column = blocks.rows(head, 0)
        found = groups[group, :, column * size : (column + 1) * size]
        np.testing.assert_array_equal(found, heads[head // 3, :, head % 3])


def lay_out(num_video_tokens: int, num_places: int, num_text: int):
    video, text = (build(num_places),) * 3, (build(num_text),) * 3
    mask = jnp.ones((2, num_text), bool)
    return lay_out_keys(video, text, mask, num_video_tokens=num_video_tokens, tiles=TILES)


def test_keys_that_fill_a_tile_are_read_where_they_are():
    keys = lay_out(600, 610, 32)
    assert (keys.num_tiles, keys.num_tail, keys.block) == (2, 600 - 512, 256)
    assert keys.video.keys.shape == (2, 610, 384)


def test_a_block_of_few_keys_is_not_longer_than_their_array():
    keys = lay_out(100, 110, 32)
    assert (keys.num_tiles, keys.num_tail) == (0, 100)
    assert keys.block == keys.video.keys.shape[1] == 512


@pytest.mark.parametrize(
    ("num_video_tokens", "has_bulk", "has_tail"), [(512, True, False), (600, True, True), (9, False, True)]
)
def test_the_kernel_is_given_what_there_is(num_video_tokens: int, *, has_bulk: bool, has_tail: bool):
    arguments = lay_out(num_video_tokens, num_video_tokens, 0).call(as_groups(build(5)))
    assert (arguments.bulk is not None, arguments.tail is not None) == (has_bulk, has_tail)
    assert arguments.text is None
    assert arguments.exists is None


def test_scores_are_counted_with_what_a_product_is_padded_to():
    keys = lay_out(600, 600, 32)
    walk = Walk(128, 256, keys.num_tiles, None)
    assert keys.count(3, walk) == 3 * (512 + 128 + 128)  # 88 keys of the tail and 32 of text fill 128 places each
