"""Settings of the DiT and of its noise schedule, from a checkpoint's JSON files, checked.

Owns what this stage can run and says what it cannot. Building the module from the settings is in torch_bridge.py.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import CheckpointError
from stages.geometry import LATENT_CHANNELS

TRANSFORMER_CLASS = "HunyuanVideo15Transformer3DModel"
SCHEDULER_CLASS = "FlowMatchEulerDiscreteScheduler"
_SWITCHED_OFF = (  # settings that change the schedule or the step, and that no checkpoint of this model uses
    "use_dynamic_shifting",
    "invert_sigmas",
    "shift_terminal",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "stochastic_sampling",
)


@dataclass(frozen=True)
class TransformerConfig:
    """Arguments of diffusers' HunyuanVideo15Transformer3DModel, by the same names and with the same defaults."""

    in_channels: int = 65
    out_channels: int = 32
    num_attention_heads: int = 16
    attention_head_dim: int = 128
    num_layers: int = 54
    num_refiner_layers: int = 2
    mlp_ratio: float = 4.0
    patch_size: int = 1
    patch_size_t: int = 1
    qk_norm: str = "rms_norm"
    text_embed_dim: int = 3584
    text_embed_2_dim: int = 1472
    image_embed_dim: int = 1152
    rope_theta: float = 256.0
    rope_axes_dim: tuple[int, ...] = (16, 56, 56)
    target_size: int = 640
    task_type: str = "i2v"  # not checked: the hub's 480p text-to-video checkpoint says "i2v" too
    use_meanflow: bool = False


@dataclass(frozen=True)
class SchedulerConfig:
    """What the noise schedule needs: `shift` > 0 (no unit) and the number of timesteps in training."""

    shift: float = 1.0
    num_train_timesteps: int = 1000


def as_arguments(config: TransformerConfig) -> Mapping[str, Any]:
    """Keyword arguments that build diffusers' module."""
    return dataclasses.asdict(config)


def parse_transformer_config(text: str, *, where: Path) -> TransformerConfig:
    """Read `transformer/config.json`.

    Args:
        text: the file's content.
        where: the file, for messages.
    Raises:
        CheckpointError: with all faults, when it is not a text-to-video DiT of HunyuanVideo-1.5.
    """
    values = _parse(text, where=where, class_name=TRANSFORMER_CLASS)
    fields = {field.name: field.default for field in dataclasses.fields(TransformerConfig)}
    faults = [f"`{name}` is not a setting of this model" for name in values if name not in fields]
    known = {name: _as_in_python(value, fields[name]) for name, value in values.items() if name in fields}
    faults += [
        f"`{name}` is {value!r}, not of type {type(fields[name]).__name__}"
        for name, value in known.items()
        if _is_other_type(value, fields[name])
    ]
    if not faults:
        faults = list(_transformer_faults(TransformerConfig(**known)))
    _raise_if(faults, where=where)
    return TransformerConfig(**known)


def parse_scheduler_config(text: str, *, where: Path) -> SchedulerConfig:
    """Read `scheduler/scheduler_config.json`.

    Args:
        text: the file's content.
        where: the file, for messages.
    Raises:
        CheckpointError: with all faults, when it asks for a schedule that `sampling.py` does not have.
    """
    values = _parse(text, where=where, class_name=SCHEDULER_CLASS)
    faults = [
        f"`{name}` is {values[name]!r}, but only schedules with a constant shift are implemented"
        for name in _SWITCHED_OFF
        if values.get(name)
    ]
    defaults = dataclasses.asdict(SchedulerConfig())
    known = {name: _as_in_python(values.get(name, default), default) for name, default in defaults.items()}
    faults += [
        f"`{name}` is {values[name]!r}, not of type {type(defaults[name]).__name__} and above 0"
        for name, value in known.items()
        if _is_other_type(value, defaults[name]) or value <= 0
    ]
    _raise_if(faults, where=where)
    return SchedulerConfig(**known)


def _parse(text: str, *, where: Path, class_name: str) -> dict[str, Any]:
    """The settings of a diffusers component, without the private ones (leading underscore)."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise CheckpointError(f"{where}: not JSON ({error}). Download or copy the checkpoint again.") from error
    if not isinstance(values, dict) or values.get("_class_name") != class_name:
        found = values.get("_class_name") if isinstance(values, dict) else type(values).__name__
        raise CheckpointError(f"{where}: holds {found!r}, not {class_name}. Use a checkpoint of HunyuanVideo-1.5.")
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _transformer_faults(config: TransformerConfig) -> Iterable[str]:
    channels = 2 * LATENT_CHANNELS + 1  # latents, latents of a first frame, mask that says which frames are given
    if (config.in_channels, config.out_channels) != (channels, LATENT_CHANNELS):
        yield (
            f"`in_channels`, `out_channels` are {config.in_channels}, {config.out_channels}, "
            f"not {channels}, {LATENT_CHANNELS}"
        )
    if (config.patch_size, config.patch_size_t) != (1, 1):
        yield f"`patch_size`, `patch_size_t` are {config.patch_size}, {config.patch_size_t}, not 1, 1"
    if sum(config.rope_axes_dim) != config.attention_head_dim:
        yield (
            f"`rope_axes_dim` {list(config.rope_axes_dim)} does not add up to "
            f"`attention_head_dim` {config.attention_head_dim}"
        )


def _as_in_python(value: Any, default: object) -> Any:
    """A list where a tuple is wanted and a whole number where a float is wanted are JSON's way to write them."""
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(default, float) and type(value) is int else value


def _is_other_type(value: object, default: object) -> bool:
    return type(value) is not type(default)


def _raise_if(faults: Iterable[str], *, where: Path) -> None:
    lines = list(faults)
    if lines:
        raise CheckpointError("\n  ".join([f"{where}: this checkpoint cannot be run:", *lines]))
