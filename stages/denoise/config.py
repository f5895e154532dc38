"""Settings of the DiT, of its noise schedule and of its guidance, from a checkpoint's JSON files, checked.

Owns which settings this stage can run, and refuses the others. Building the module from the settings is in
torch_bridge.py.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stages.geometry import LATENT_CHANNELS
from stages.models.checkpoint import Checkpoint, read_component_settings
from stages.models.settings import (
    TEXT,
    Rule,
    Settings,
    above_zero,
    count,
    find_faults,
    find_unknown,
    list_of,
    only,
    refuse_faulty,
    require_class,
)
from stages.pipeline.denoise import GUIDER, SCHEDULER, TRANSFORMER

TRANSFORMER_CLASS = "HunyuanVideo15Transformer3DModel"
SCHEDULER_CLASS = "FlowMatchEulerDiscreteScheduler"
GUIDER_CLASS = "ClassifierFreeGuidance"
# Text-to-video masks the 729 image tokens: these weights must be in the files, and stay there.
UNREAD = "image_embedder."
_IN_CHANNELS = 2 * LATENT_CHANNELS + 1  # latents, latents of a first frame, mask that says which frames are given
_POSITION_AXES = 3  # frame, row, column
_MAX_LAYERS, _MAX_MLP_RATIO = 1000, 64.0  # far above any checkpoint, far below what fills the memory
_EVEN = Rule("an even number from 2", lambda value: count(2).holds(value) and value % 2 == 0)
_GUIDER_FIX = (
    "Guidance here is uncond + guidance_scale * (cond - uncond) in all steps. Use a checkpoint whose guider does that, "
    "or change these settings in a copy of this one."
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


_TRANSFORMER_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "in_channels": only(_IN_CHANNELS),
        "out_channels": only(LATENT_CHANNELS),
        "num_attention_heads": count(),
        "attention_head_dim": count(),
        "num_layers": count(most=_MAX_LAYERS),
        "num_refiner_layers": count(most=_MAX_LAYERS),
        "mlp_ratio": above_zero(_MAX_MLP_RATIO),
        "patch_size": only(1),
        "patch_size_t": only(1),
        "qk_norm": only("rms_norm"),
        "text_embed_dim": count(),
        "text_embed_2_dim": count(),
        "image_embed_dim": count(),
        "rope_theta": above_zero(),
        "rope_axes_dim": list_of(_EVEN, length=_POSITION_AXES),  # a frequency turns two channels
        "target_size": count(),
        "task_type": TEXT,
        "use_meanflow": only(False),  # such a model takes a second timestep, which nothing here makes
    }
)


@dataclass(frozen=True)
class SchedulerConfig:
    """What the noise schedule needs: `shift` > 0 (no unit) and the number of timesteps in training."""

    shift: float = 1.0
    num_train_timesteps: int = 1000


_SCHEDULER_RULES: Mapping[str, Rule] = MappingProxyType({"shift": above_zero(), "num_train_timesteps": count()})
# Settings that change the schedule or the step, and that no checkpoint of this model uses.
_SWITCHED_OFF = (
    "use_dynamic_shifting",
    "invert_sigmas",
    "shift_terminal",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "stochastic_sampling",
)
# Settings that only a dynamic shift reads.
_INERT = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type")


@dataclass(frozen=True)
class GuiderConfig:
    """The guidance scale that the checkpoint was made for, no unit; 1.0 when its transformer needs no guidance."""

    guidance_scale: float = 7.5


# `sample` guides in all steps by uncond + scale * (cond - uncond), as diffusers does with these values, its defaults.
_GUIDER_VALUES: Mapping[str, bool | float] = MappingProxyType(
    {
        "guidance_rescale": 0.0,
        "use_original_formulation": False,
        "start": 0.0,
        "stop": 1.0,
        "enabled": True,
    }
)
_GUIDER_RULES: Mapping[str, Rule] = MappingProxyType(
    {"guidance_scale": above_zero(), **{name: only(value) for name, value in _GUIDER_VALUES.items()}}
)


@dataclass(frozen=True)
class ModelConfig:
    """Settings of the components that this stage reads."""

    transformer: TransformerConfig
    scheduler: SchedulerConfig
    guider: GuiderConfig


def read_model_config(checkpoint: Checkpoint) -> ModelConfig:
    """The settings of a checkpoint; what is missing of a hub id is downloaded.

    Raises:
        CheckpointError: a file is missing or not JSON, or its settings cannot be run; lists all faults of that file.
    """
    return ModelConfig(
        scheduler=parse_scheduler_config(read_component_settings(checkpoint, SCHEDULER)),
        transformer=parse_transformer_config(read_component_settings(checkpoint, TRANSFORMER)),
        guider=parse_guider_config(read_component_settings(checkpoint, GUIDER)),
    )


def as_arguments(config: TransformerConfig) -> Mapping[str, Any]:
    """Keyword arguments that build diffusers' module."""
    return dataclasses.asdict(config)


def parse_transformer_config(settings: Settings) -> TransformerConfig:
    """Settings from `transformer/config.json`.

    Raises:
        CheckpointError: with all faults, when it is not a text-to-video DiT of HunyuanVideo-1.5.
    """
    require_class(settings, TRANSFORMER_CLASS)
    values = _fill_in(settings, dataclasses.asdict(TransformerConfig()))
    faults = find_unknown(settings, _TRANSFORMER_RULES) + find_faults(values, _TRANSFORMER_RULES)
    if not faults and sum(values["rope_axes_dim"]) != values["attention_head_dim"]:
        faults.append(
            f"`rope_axes_dim` {values['rope_axes_dim']} does not add up to "
            f"`attention_head_dim` {values['attention_head_dim']}"
        )
    refuse_faulty(faults, where=settings.where)
    values |= {
        "mlp_ratio": float(values["mlp_ratio"]),
        "rope_theta": float(values["rope_theta"]),
        "rope_axes_dim": tuple(values["rope_axes_dim"]),
    }
    return TransformerConfig(**values)


def parse_scheduler_config(settings: Settings) -> SchedulerConfig:
    """Settings from `scheduler/scheduler_config.json`.

    Raises:
        CheckpointError: with all faults, when it asks for a schedule that `sampling.py` does not have.
    """
    require_class(settings, SCHEDULER_CLASS)
    faults = find_unknown(settings, (*_SCHEDULER_RULES, *_SWITCHED_OFF, *_INERT))
    faults += [
        f"`{name}` is {settings.values[name]!r}, but only schedules with a constant shift are implemented"
        for name in _SWITCHED_OFF
        if settings.values.get(name) not in (False, None)
    ]
    values = _fill_in(settings, dataclasses.asdict(SchedulerConfig()))
    refuse_faulty(faults + find_faults(values, _SCHEDULER_RULES), where=settings.where)
    return SchedulerConfig(shift=float(values["shift"]), num_train_timesteps=values["num_train_timesteps"])


def parse_guider_config(settings: Settings) -> GuiderConfig:
    """Settings from `guider/guider_config.json`.

    Raises:
        CheckpointError: with all faults, when it guides in another way than `sampling.py`.
    """
    require_class(settings, GUIDER_CLASS)
    values = _fill_in(settings, {**dataclasses.asdict(GuiderConfig()), **_GUIDER_VALUES})
    faults = find_unknown(settings, _GUIDER_RULES) + find_faults(values, _GUIDER_RULES)
    refuse_faulty(faults, where=settings.where, fix=_GUIDER_FIX)
    return GuiderConfig(guidance_scale=float(values["guidance_scale"]))


def _fill_in(settings: Settings, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings named in `defaults`; a checkpoint may leave out those that are diffusers' defaults."""
    return {name: settings.values.get(name, default) for name, default in defaults.items()}


def is_guided(guidance_scale: float) -> bool:
    """Whether the negative prompt has any weight; where it has none, its branch is not computed."""
    return not math.isclose(guidance_scale, 1.0)
