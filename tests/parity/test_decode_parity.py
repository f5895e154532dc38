"""Frames equal those of diffusers' AutoencoderKLHunyuanVideo15, in the same process."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo15

import stages
from stages.decode.tiling import plan_tiles
from tests.decode.builders import SMALL, build_vae, decode_here, decode_there, random_latents
from tests.fork import in_dtype

pytestmark = pytest.mark.compiles

SHAPES = Path(stages.__file__).parent / "models" / "builtin" / "shapes" / "vae"
# Mean error in bfloat16, relative to diffusers' own: both round after each operation, by up to 2**-9, but not the same
# sums, so that their errors are alike in size. Measured: 0.82 and 0.90; convolutions here keep their sums in float32.
BFLOAT16_RATIO = 1.1
TOLERANCE = 1e-5  # float32, frames of order 1, sums in another order; 3.4e-6 was measured


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "built-in":
        return SHAPES
    folder = tmp_path_factory.mktemp("random") / "vae"
    build_vae(**request.param).save_pretrained(folder)
    return folder


def load_vae(folder: Path) -> AutoencoderKLHunyuanVideo15:
    return AutoencoderKLHunyuanVideo15.from_pretrained(folder, **in_dtype(torch.float32), local_files_only=True).eval()


TWO_RESNETS = {"block_out_channels": (8, 8, 16, 32, 64), "layers_per_block": 1}
SAME_CHANNELS = {"block_out_channels": (8, 16, 16, 64, 96), "layers_per_block": 0, "upsample_match_channel": False}


@pytest.mark.parametrize(
    ("folder", "size"),
    [
        ("built-in", (3, 4, 3)),
        (TWO_RESNETS, (4, 3, 5)),
        (SAME_CHANNELS, (3, 4, 3)),
        (SMALL, (1, 5, 7)),
        (SMALL, (2, 1, 3)),
        (SMALL, (4, 3, 1)),
    ],
    indirect=["folder"],
)
def test_frames_equal(folder: Path, size: tuple[int, int, int]):
    latents = random_latents(*size)
    expected = decode_there(load_vae(folder), latents)
    np.testing.assert_allclose(decode_here(folder, latents), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("folder", "tile_cells", "overlap", "size"),
    [
        ("built-in", 4, 0.25, (3, 5, 3)),  # the first of its tiles has the size of the whole video above
        (SMALL, 4, 0.25, (2, 5, 5)),
        (SMALL, 4, 0.5, (2, 6, 4)),
        (SMALL, 2, 0.5, (2, 3, 3)),
        (SMALL, 3, 1 / 3, (2, 5, 5)),
        (SMALL, 3, 0.0, (2, 5, 3)),
    ],
    indirect=["folder"],
)
def test_tiled_frames_equal(folder: Path, tile_cells: int, overlap: float, size: tuple[int, int, int]):
    vae, latents = load_vae(folder), random_latents(*size)
    cell_px = vae.config.spatial_compression_ratio
    tile_px = tile_cells * cell_px
    vae.enable_tiling(tile_px, tile_px, tile_cells, tile_cells)
    vae.tile_overlap_factor = overlap  # enable_tiling takes 0 for "as it was"
    expected = decode_there(vae, latents)
    grid = plan_tiles(*size[1:], tile_size_px=tile_px, tile_overlap=overlap, spatial_compression=cell_px)
    assert len(grid.rows) > 1
    np.testing.assert_allclose(decode_here(folder, latents, grid=grid), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("folder", [SMALL], indirect=True)
def test_frames_no_larger_than_a_tile_are_not_tiled(folder: Path):
    vae, latents = load_vae(folder), random_latents(2, 4, 2)
    vae.enable_tiling(16, 16, 4, 4, 0.25)
    grid = plan_tiles(4, 2, tile_size_px=16, tile_overlap=0.25, spatial_compression=4)
    expected = decode_there(vae, latents)
    np.testing.assert_allclose(decode_here(folder, latents, grid=grid), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("folder", [SMALL], indirect=True)
def test_where_an_overlap_is_part_of_a_cell_diffusers_frames_are_too_large_and_these_are_not(folder: Path):
    vae, latents = load_vae(folder), random_latents(2, 5, 5)
    vae.enable_tiling(12, 12, 3, 3, 0.25)
    assert decode_there(vae, latents).shape == (5, 22, 22, 3)
    grid = plan_tiles(5, 5, tile_size_px=12, tile_overlap=0.25, spatial_compression=4)
    assert decode_here(folder, latents, grid=grid).shape == (5, 20, 20, 3)


@pytest.mark.parametrize("folder", ["built-in", SMALL], indirect=True)
def test_bfloat16_is_as_close_to_float32_as_diffusers_is(folder: Path):
    latents = random_latents(2, 4, 4)
    exact = decode_there(load_vae(folder), latents)
    theirs = np.abs(decode_there(load_vae(folder).to(torch.bfloat16), latents) - exact).mean()
    ours = np.abs(decode_here(folder, latents, dtype="bfloat16") - exact).mean()
    assert ours <= BFLOAT16_RATIO * theirs
    assert 0.0005 < theirs < 0.01  # it is bfloat16 that is compared, and nothing worse


def test_frames_of_random_weights_are_of_order_one():
    """Otherwise the tolerance would say nothing."""
    assert np.abs(decode_there(build_vae(), random_latents(2, 3, 3))).max() > 0.3
