"""Tiles of the attention kernels."""

import pytest

from stages.denoise.attention.tiles import BOUNDED_TILES, SPLASH_TILES, tiles_of
from stages.errors import MeshError

TABLES = pytest.mark.parametrize("table", [BOUNDED_TILES, SPLASH_TILES], ids=["bounded", "splash"])


@TABLES
def test_a_chip_without_tiles_is_refused(table):
    with pytest.raises(MeshError) as error:
        tiles_of("TPU v9", table)
    assert str(error.value) == (
        '"TPU v9": no attention tiles are known for this chip, only for TPU v4, TPU v5 lite, TPU v5, TPU v6 lite, '
        "TPU7x. Add it to stages/denoise/attention/tiles.py; docs/decisions/0017 says how they are found."
    )


@TABLES
def test_tiles_are_whole_vector_registers(table):
    for tiles in table.values():
        assert all(length % 128 == 0 for length in (tiles.query, tiles.key, tiles.compute))
        assert tiles.key % tiles.compute == 0
