"""What the VAE's config says about its decoder: the sizes of every block, checked once.

Owns the arithmetic from `vae/config.json` to channels and upsampling factors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stages.geometry import LATENT_CHANNELS, SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION
from stages.models.settings import (
    TRUE_OR_FALSE,
    Rule,
    Settings,
    above_zero,
    count,
    find_faults,
    list_of,
    refuse_faulty,
    require_class,
)

ARCHITECTURE = "AutoencoderKLHunyuanVideo15"
NUM_COLORS = 3
PREFIX = "decoder."  # of the names of all weights that are read; the VAE's encoder is not
SPACE_FACTOR = 2  # each upsampler doubles height and width
_MAX_RESNETS = 100  # per block; far above any checkpoint, far below what fills the memory

_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "latent_channels": count(),
        "out_channels": count(),
        "block_out_channels": list_of(count()),
        "layers_per_block": count(0, _MAX_RESNETS),
        "spatial_compression_ratio": count(),
        "temporal_compression_ratio": count(),
        "upsample_match_channel": TRUE_OR_FALSE,
        "scaling_factor": above_zero(),
    }
)


@dataclass(frozen=True)
class UpBlockPlan:
    """Sizes of one up block; `upsample_channels` is None when the block keeps height and width."""

    in_channels: int
    out_channels: int
    num_resnets: int
    upsample_channels: int | None
    doubles_time: bool

    @property
    def upsample_factor(self) -> int:
        """Cells that the upsampler makes of one: 8 when it doubles time as well, else 4."""
        return SPACE_FACTOR**2 * (2 if self.doubles_time else 1)


@dataclass(frozen=True)
class DecoderConfig:
    """The decoder's share of the VAE's config; `block_channels` runs from the latents to the pixels."""

    latent_channels: int
    out_channels: int
    block_channels: tuple[int, ...]
    num_resnets: int
    spatial_compression: int
    temporal_compression: int
    upsample_match_channel: bool
    scaling_factor: float

    @property
    def up_blocks(self) -> tuple[UpBlockPlan, ...]:
        """The up blocks in order.

        Source: HunyuanVideo15Decoder3D of diffusers 0.42. The first log2(spatial) blocks double height and
        width, the first log2(temporal) of them time too.
        """
        num_space = self.spatial_compression.bit_length() - 1
        num_time = self.temporal_compression.bit_length() - 1
        plans = []
        in_channels = self.block_channels[0]
        for index, channels in enumerate(self.block_channels):
            upsample_channels = None
            if index < num_space:
                upsample_channels = self.block_channels[index + 1] if self.upsample_match_channel else channels
            plans.append(UpBlockPlan(in_channels, channels, self.num_resnets, upsample_channels, index < num_time))
            in_channels = upsample_channels or channels
        return tuple(plans)


def parse_config(settings: Settings) -> DecoderConfig:
    """The decoder's sizes from `vae/config.json`.

    Raises:
        CheckpointError: another architecture, or sizes that no such decoder can have; all faults at once.
    """
    require_class(settings, ARCHITECTURE)
    refuse_faulty(find_faults(settings.values, _RULES), where=settings.where)
    config = _from_values(settings.values)
    refuse_faulty(_size_faults(config), where=settings.where)
    return config


def check_geometry(config: DecoderConfig, *, where: Path) -> None:
    """Compare a decoder with the sizes that all stages count on.

    Raises:
        CheckpointError: its compression, latent channels or colours are others; lists all of them.
    """
    refuse_faulty(
        [
            f"`{name}` is {found}, not {wanted}"
            for name, found, wanted in (
                ("latent_channels", config.latent_channels, LATENT_CHANNELS),
                ("out_channels", config.out_channels, NUM_COLORS),
                ("spatial_compression_ratio", config.spatial_compression, SPATIAL_COMPRESSION),
                ("temporal_compression_ratio", config.temporal_compression, TEMPORAL_COMPRESSION),
            )
            if found != wanted
        ],
        where=where,
    )


def _from_values(values: Mapping[str, Any]) -> DecoderConfig:
    return DecoderConfig(
        latent_channels=values["latent_channels"],
        out_channels=values["out_channels"],
        block_channels=tuple(reversed(values["block_out_channels"])),
        num_resnets=values["layers_per_block"] + 1,
        spatial_compression=values["spatial_compression_ratio"],
        temporal_compression=values["temporal_compression_ratio"],
        upsample_match_channel=values["upsample_match_channel"],
        scaling_factor=float(values["scaling_factor"]),
    )


def _size_faults(config: DecoderConfig) -> list[str]:
    """Sizes that do not fit together."""
    faults = []
    ratios = {"spatial": config.spatial_compression, "temporal": config.temporal_compression}
    for name, ratio in ratios.items():
        if ratio & (ratio - 1):
            faults.append(f"`{name}_compression_ratio` is {ratio}, not a power of 2")
    if config.temporal_compression > config.spatial_compression:
        faults.append("`temporal_compression_ratio` is larger than `spatial_compression_ratio`")
    needed = config.spatial_compression.bit_length() - 1 + config.upsample_match_channel
    if len(config.block_channels) < needed:
        faults.append(f"`block_out_channels` names {len(config.block_channels)} blocks, fewer than {needed}")
    if config.block_channels[0] % config.latent_channels:
        faults.append("the last of `block_out_channels` is no multiple of `latent_channels`")
    return faults or [fault for plan in config.up_blocks for fault in _shortcut_faults(plan)]


def _shortcut_faults(plan: UpBlockPlan) -> list[str]:
    """The upsampler's shortcut repeats channels a whole number of times, half as often for the first frame."""
    if plan.upsample_channels is None:
        return []
    halves = 2 if plan.doubles_time else 1
    if plan.upsample_factor * plan.upsample_channels % (plan.out_channels * halves):
        return [
            f"`block_out_channels`: {plan.out_channels} channels cannot be upsampled to {plan.upsample_channels}, "
            "the shortcut would not repeat them a whole number of times"
        ]
    return []
