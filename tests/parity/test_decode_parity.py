"""Frames equal those of diffusers' AutoencoderKLHunyuanVideo15, in the same process, in float32."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo15

import stages
from stages.decode.tiling import plan_tiles
from tests.decode.builders import build_vae, decode_here, decode_there, random_latents

SHAPES = Path(stages.__file__).parent / "builtin" / "shapes" / "vae"
TOLERANCE = 1e-4  # float32, frames of order 1, sums in another order


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch's threads wait for each other: beside another busy process two are six times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "built-in":
        return SHAPES
    folder = tmp_path_factory.mktemp("random") / "vae"
    build_vae(**request.param).save_pretrained(folder)
    return folder


def load_vae(folder: Path) -> AutoencoderKLHunyuanVideo15:
    return AutoencoderKLHunyuanVideo15.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


TWO_RESNETS = {"block_out_channels": (8, 8, 16, 32, 64), "layers_per_block": 1}
WIDE_JUMPS = {"block_out_channels": (8, 16, 16, 64, 96), "layers_per_block": 0, "upsample_match_channel": False}


@pytest.mark.parametrize(
    ("folder", "size"),
    [
        ("built-in", (3, 6, 6)),
        ("built-in", (1, 5, 7)),
        (TWO_RESNETS, (5, 5, 7)),
        (TWO_RESNETS, (2, 1, 3)),
        (WIDE_JUMPS, (3, 4, 3)),
    ],
    indirect=["folder"],
)
def test_frames_equal(folder: Path, size: tuple[int, int, int]):
    latents = random_latents(*size)
    expected = decode_there(load_vae(folder), latents)
    assert expected.shape == (4 * size[0] - 3, 16 * size[1], 16 * size[2], 3)
    np.testing.assert_allclose(decode_here(folder, latents), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("folder", "tile_px", "overlap"),
    [("built-in", 64, 0.25), ("built-in", 32, 0.5), (TWO_RESNETS, 64, 0.25)],
    indirect=["folder"],
)
def test_tiled_frames_equal(folder: Path, tile_px: int, overlap: float):
    vae, latents = load_vae(folder), random_latents(2, 5, 7)
    vae.enable_tiling(tile_px, tile_px, tile_px // 16, tile_px // 16, overlap)
    expected = decode_there(vae, latents)
    grid = plan_tiles(5, 7, tile_size_px=tile_px, tile_overlap=overlap, spatial_compression=16)
    assert len(grid.rows) > 1
    np.testing.assert_allclose(decode_here(folder, latents, grid=grid), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("folder", ["built-in"], indirect=True)
def test_frames_of_random_weights_are_of_order_one(folder: Path):
    """Otherwise the tolerance would say nothing."""
    assert np.abs(decode_here(folder, random_latents(1, 3, 3))).max() > 0.3


def test_the_toys_frames_are_of_order_one():
    assert np.abs(decode_there(build_vae(), random_latents(2, 3, 3))).max() > 0.3
