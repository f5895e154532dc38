"""Tiles of the attention kernels for each kind of TPU."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from stages.errors import MeshError

# Keys of a tile with a window: at its ends half of a tile is wasted, which costs more than a tile of 4096 saves.
_MAX_WINDOW_KEYS = 2048


@dataclass(frozen=True)
class Tiles:
    """Lengths of a kernel's tiles, multiples of 128: queries, keys in fast memory, keys of one product."""

    query: int
    key: int
    compute: int

    def for_window(self) -> "Tiles":
        """The same for queries that see a window of keys each."""
        return replace(self, key=min(self.key, _MAX_WINDOW_KEYS))


# By `jax.Device.device_kind`: the shortest schedules per score, benchmarks/results/attention_tiles.md.
BOUNDED_TILES: Mapping[str, Tiles] = MappingProxyType({
    "TPU v4": Tiles(1024, 4096, 1024),
    "TPU v5 lite": Tiles(1024, 4096, 1024),
    "TPU v5": Tiles(1024, 4096, 1024),
    "TPU v6 lite": Tiles(2048, 4096, 512),
    "TPU7x": Tiles(2048, 4096, 512),
})  # fmt: skip
# Instruction bundles per million scores with these tiles, of one core; from the same page.
BUNDLES_PER_MILLION: Mapping[str, float] = MappingProxyType({
    "TPU v4": 4430,
    "TPU v5 lite": 3752,
    "TPU v5": 3699,
    "TPU v6 lite": 1543,
    "TPU7x": 1417,
})  # fmt: skip
SPLASH_TILES: Mapping[str, Tiles] = MappingProxyType({
    "TPU v4": Tiles(1024, 2048, 1024),
    "TPU v5 lite": Tiles(1024, 2048, 1024),
    "TPU v5": Tiles(1024, 2048, 1024),
    "TPU v6 lite": Tiles(1024, 4096, 1024),
    "TPU7x": Tiles(1024, 4096, 1024),
})  # fmt: skip


def tiles_of(device_kind: str, tiles: Mapping[str, Tiles]) -> Tiles:
    """The tiles for a chip; raises MeshError for a chip that is not in `tiles`."""
    if device_kind not in tiles:
        raise MeshError(
            f'"{device_kind}": no attention tiles are known for this chip, only for {", ".join(tiles)}. Add it to '
            "stages/denoise/attention/tiles.py; docs/decisions/0017 says how they are found."
        )
    return tiles[device_kind]
