"""What the VAE's config says about its decoder: the sizes of every block, checked once.

Owns the arithmetic from `vae/config.json` to channels and upsampling factors; reading the file is left to weights.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.errors import CheckpointError

ARCHITECTURE = "AutoencoderKLHunyuanVideo15"
SPACE_FACTOR = 2  # each upsampler doubles height and width
_COUNTS = ("latent_channels", "out_channels", "spatial_compression_ratio", "temporal_compression_ratio")


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
            if index < max(num_space, num_time):
                upsample_channels = self.block_channels[index + 1] if self.upsample_match_channel else channels
            plans.append(UpBlockPlan(in_channels, channels, self.num_resnets, upsample_channels, index < num_time))
            in_channels = upsample_channels or channels
        return tuple(plans)


def parse_config(values: Mapping[str, Any], *, source: str) -> DecoderConfig:
    """Read the decoder's sizes from the values of a `vae/config.json`.

    Args:
        values: the parsed JSON object.
        source: the file's name, for messages.
    Raises:
        CheckpointError: another architecture, or sizes that no such decoder can have; all faults at once.
    """
    found = values.get("_class_name")
    if found != ARCHITECTURE:
        raise CheckpointError(
            f"{source}: _class_name is {found!r}, decode needs {ARCHITECTURE!r}. "
            "Set model.checkpoint to a HunyuanVideo-1.5 checkpoint."
        )
    faults = _value_faults(values)
    if not faults:
        config = _from_values(values)
        faults = _size_faults(config)
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise CheckpointError(f"{source}: {len(faults)} faults:\n{listed}\nDownload or copy the checkpoint again.")
    return config


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


def _value_faults(values: Mapping[str, Any]) -> list[str]:
    """Values that are missing or of a wrong type."""
    faults = [
        f"{name} = {values.get(name)!r}: must be a whole number >= 1"
        for name in _COUNTS
        if not _is_count(values.get(name), 1)
    ]
    if not _is_count(values.get("layers_per_block"), 0):
        faults.append(f"layers_per_block = {values.get('layers_per_block')!r}: must be a whole number >= 0")
    channels = values.get("block_out_channels")
    if not isinstance(channels, list) or not channels or not all(_is_count(item, 1) for item in channels):
        faults.append(f"block_out_channels = {channels!r}: must be a list of whole numbers >= 1")
    if not isinstance(values.get("upsample_match_channel"), bool):
        faults.append(f"upsample_match_channel = {values.get('upsample_match_channel')!r}: must be true or false")
    factor = values.get("scaling_factor")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
        faults.append(f"scaling_factor = {factor!r}: must be a number > 0")
    return faults


def _size_faults(config: DecoderConfig) -> list[str]:
    """Sizes that do not fit together."""
    faults = []
    ratios = {"spatial": config.spatial_compression, "temporal": config.temporal_compression}
    for name, ratio in ratios.items():
        if ratio & (ratio - 1):
            faults.append(f"{name}_compression_ratio = {ratio}: must be a power of 2")
    if config.temporal_compression > config.spatial_compression:
        faults.append("temporal_compression_ratio: must not exceed spatial_compression_ratio")
    needed = config.spatial_compression.bit_length() - 1 + config.upsample_match_channel
    if len(config.block_channels) < needed:
        faults.append(f"block_out_channels: must name at least {needed} blocks")
    if config.block_channels[0] % config.latent_channels:
        faults.append("block_out_channels: the last must be a multiple of latent_channels")
    return faults or [fault for plan in config.up_blocks for fault in _shortcut_faults(plan)]


def _shortcut_faults(plan: UpBlockPlan) -> list[str]:
    """The upsampler's shortcut repeats channels a whole number of times, half as often for the first frame."""
    if plan.upsample_channels is None:
        return []
    halves = 2 if plan.doubles_time else 1
    if plan.upsample_factor * plan.upsample_channels % (plan.out_channels * halves):
        return [
            f"block_out_channels: {plan.out_channels} channels cannot be upsampled to {plan.upsample_channels}, "
            "the shortcut would not repeat them a whole number of times"
        ]
    return []


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
