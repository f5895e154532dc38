"""Where tiles lie and how they are blended."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decode.tiling import (
    HEIGHT_AXIS,
    WIDTH_AXIS,
    Tiling,
    blend,
    choose_grid,
    count_tiles,
    cut_tiles,
    join_tiles,
    one_tile,
    plan_tiles,
)

CELL_PX = 16


def test_tiles_of_720p_start_where_diffusers_starts_them():
    grid = plan_tiles(45, 80, tile_size_px=256, tile_overlap=0.25, spatial_compression=CELL_PX)
    assert grid.rows == (0, 12, 24, 36)
    assert grid.columns == (0, 12, 24, 36, 48, 60, 72)
    assert (grid.tile_size, grid.step) == (16, 12)


def test_a_frame_that_fits_into_a_tile_is_decoded_whole():
    grid = plan_tiles(16, 9, tile_size_px=256, tile_overlap=0.25, spatial_compression=CELL_PX)
    assert grid == one_tile(16, 9)


def test_an_overlap_of_part_of_a_cell_is_rounded_up_to_a_cell():
    grid = plan_tiles(6, 6, tile_size_px=48, tile_overlap=0.25, spatial_compression=CELL_PX)
    assert (grid.tile_size, grid.step) == (3, 2)


def test_tiles_are_laid_where_they_are_asked_for():
    parameters = {"enable_tiling": True, "tile_size": 256, "tile_overlap": 0.25}
    tiling = Tiling.from_parameters(parameters)
    assert choose_grid(45, 80, tiling, spatial_compression=CELL_PX) == plan_tiles(
        45, 80, tile_size_px=256, tile_overlap=0.25, spatial_compression=CELL_PX
    )
    assert Tiling.from_parameters({"enable_tiling": False}) is None
    assert choose_grid(45, 80, None, spatial_compression=CELL_PX) == one_tile(45, 80)


def test_tiles_of_720p_have_four_sizes():
    grid = plan_tiles(45, 80, tile_size_px=256, tile_overlap=0.25, spatial_compression=CELL_PX)
    assert count_tiles(45, 80, grid) == {(16, 16): 3 * 6, (16, 8): 3, (9, 16): 6, (9, 8): 1}


def test_blending_by_hand():
    before = jnp.array([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 4, 1, 1)
    after = jnp.array([10.0, 10.0, 10.0]).reshape(1, 1, 3, 1, 1)
    assert blend(before, after, 2, axis=HEIGHT_AXIS).ravel().tolist() == [2.0, 0.5 * 3 + 0.5 * 10, 10.0]
    assert blend(before, after, 0, axis=HEIGHT_AXIS).ravel().tolist() == [10.0, 10.0, 10.0]


def test_a_tile_meets_neighbours_that_are_blended_already_above_before_left():
    heights_widths_values = [[(4, 4, 0.0), (4, 2, 1.0)], [(2, 4, 2.0), (2, 2, 3.0)]]
    tiles = [[jnp.full((1, 1, h, w, 1), value) for h, w, value in row] for row in heights_widths_values]
    assert join_tiles(tiles, blend_px=2, step_px=2)[0, 0, :, :, 0].tolist() == [
        [0.0, 0.0, 0.0, 0.5],
        [0.0, 0.0, 0.0, 0.5],
        [0.0, 0.0, 0.0, 0.25],  # right half: [0, 0.5] from above, then half of it beside 0
        [1.0, 1.0, 1.0, 1.375],  # right half: (3 + [0, 0.5]) / 2 from above, then 1 and (1 + 1.75) / 2
    ]


def test_a_tile_smaller_than_the_overlap_is_blended_as_far_as_it_goes():
    before, after = jnp.zeros((1, 1, 1, 5, 1)), jnp.ones((1, 1, 1, 2, 1))
    assert blend(before, after, 4, axis=WIDTH_AXIS).ravel().tolist() == [0.0, 0.5]


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    tile_cells=st.integers(1, 16),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5]),
)
def test_tiles_cover_every_cell_and_keep_each_once(height: int, width: int, tile_cells: int, overlap: float):
    grid = plan_tiles(
        height, width, tile_size_px=tile_cells * CELL_PX, tile_overlap=overlap, spatial_compression=CELL_PX
    )
    seen = np.zeros((height, width), int)
    for y in grid.rows:
        for x in grid.columns:
            seen[y : y + grid.tile_size, x : x + grid.tile_size] += 1
    assert seen.min() >= 1
    for size, starts in ((height, grid.rows), (width, grid.columns)):
        assert sum(min(grid.tile_size, size - start, grid.step) for start in starts) == size


@pytest.mark.parametrize(("tile_px", "overlap"), [(32, 0.5), (48, 0.25), (64, 0.25), (16, 0.0)])
def test_tiles_cut_from_a_frame_join_to_the_same_frame(tile_px: int, overlap: float):
    """Where neighbours agree, blending them changes nothing."""
    frame = jnp.arange(6 * 7, dtype=jnp.float32).reshape(1, 1, 6, 7, 1)
    grid = plan_tiles(6, 7, tile_size_px=tile_px, tile_overlap=overlap, spatial_compression=CELL_PX)
    tiles = cut_tiles(frame, grid)
    joined = join_tiles(tiles, blend_px=grid.tile_size - grid.step, step_px=grid.step)  # one pixel per cell
    np.testing.assert_allclose(joined, frame, rtol=1e-6)
