"""A checkpoint's settings are read whole, and what cannot be run is named."""

import inspect
import json
from pathlib import Path

import pytest
from diffusers import ClassifierFreeGuidance, FlowMatchEulerDiscreteScheduler, HunyuanVideo15Transformer3DModel

import stages
from stages.denoise.config import (
    GuiderConfig,
    SchedulerConfig,
    TransformerConfig,
    as_arguments,
    parse_guider_config,
    parse_scheduler_config,
    parse_transformer_config,
    read_model_config,
)
from stages.errors import CheckpointError
from stages.models.checkpoint import Checkpoint
from stages.models.settings import Settings, read_settings

SHAPES = Path(stages.__file__).parent / "models" / "builtin" / "shapes"
WHERE = Path("checkpoint/config.json")
REFUSED = "checkpoint/config.json: this checkpoint cannot be run:\n  "
FIX = "\n  Use a checkpoint of HunyuanVideo-1.5 whose settings are as diffusers writes them."


def parse_dit(**values: object) -> TransformerConfig:
    return parse_transformer_config(Settings(WHERE, {"_class_name": "HunyuanVideo15Transformer3DModel", **values}))


def parse_scheduler(**values: object) -> SchedulerConfig:
    return parse_scheduler_config(Settings(WHERE, {"_class_name": "FlowMatchEulerDiscreteScheduler", **values}))


def parse_guider(**values: object) -> GuiderConfig:
    return parse_guider_config(Settings(WHERE, {"_class_name": "ClassifierFreeGuidance", **values}))


def defaults(diffusers_class: type) -> dict[str, object]:
    parameters = inspect.signature(diffusers_class.__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "self"}


def test_settings_that_a_checkpoint_leaves_out_are_those_of_diffusers():
    assert as_arguments(parse_dit()) == defaults(HunyuanVideo15Transformer3DModel)
    assert parse_scheduler() == SchedulerConfig(shift=1.0, num_train_timesteps=1000)
    assert {"shift": 1.0, "num_train_timesteps": 1000}.items() <= defaults(FlowMatchEulerDiscreteScheduler).items()
    assert parse_guider() == GuiderConfig(guidance_scale=7.5)


def test_settings_as_diffusers_writes_them_by_default_can_be_run():
    assert parse_scheduler(**defaults(FlowMatchEulerDiscreteScheduler)) == SchedulerConfig()
    assert parse_guider(**defaults(ClassifierFreeGuidance)) == GuiderConfig()


def test_the_built_in_checkpoint_can_be_run():
    settings = read_settings(SHAPES / "transformer" / "config.json")
    stored = {name: value for name, value in settings.values.items() if not name.startswith("_")}
    assert json.loads(json.dumps(as_arguments(parse_transformer_config(settings)))) == stored
    assert parse_scheduler_config(read_settings(SHAPES / "scheduler" / "scheduler_config.json")).shift == 3.0
    assert parse_guider_config(read_settings(SHAPES / "guider" / "guider_config.json")).guidance_scale >= 1.0


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"in_channels": 33}, "`in_channels` is 33, not 65"),
        ({"out_channels": 16}, "`out_channels` is 16, not 32"),
        ({"patch_size": 2}, "`patch_size` is 2, not 1"),
        ({"patch_size_t": 2}, "`patch_size_t` is 2, not 1"),
        ({"num_layers": 0}, "`num_layers` is 0, not a whole number from 1 to 1000"),
        ({"num_layers": "54"}, "`num_layers` is '54', not a whole number from 1 to 1000"),
        ({"num_refiner_layers": -3}, "`num_refiner_layers` is -3, not a whole number from 1 to 1000"),
        ({"num_attention_heads": 0}, "`num_attention_heads` is 0, not a whole number from 1 to 65536"),
        ({"text_embed_dim": 1.5}, "`text_embed_dim` is 1.5, not a whole number from 1 to 65536"),
        ({"mlp_ratio": float("nan")}, "`mlp_ratio` is nan, not a finite number above 0, at most 64"),
        ({"mlp_ratio": True}, "`mlp_ratio` is True, not a finite number above 0, at most 64"),
        ({"rope_theta": -1}, "`rope_theta` is -1, not a finite number above 0"),
        ({"rope_axes_dim": [64, 64]}, "`rope_axes_dim` is [64, 64], not a list of 3, each an even number from 2"),
        (
            {"rope_axes_dim": [15, 57, 56]},
            "`rope_axes_dim` is [15, 57, 56], not a list of 3, each an even number from 2",
        ),
        ({"rope_axes_dim": "abc"}, "`rope_axes_dim` is 'abc', not a list of 3, each an even number from 2"),
        ({"rope_axes_dim": [16, 16, 16]}, "`rope_axes_dim` [16, 16, 16] does not add up to `attention_head_dim` 128"),
        ({"qk_norm": None}, "`qk_norm` is None, not 'rms_norm'"),
        ({"qk_norm": "layer_norm"}, "`qk_norm` is 'layer_norm', not 'rms_norm'"),
        ({"task_type": 1}, "`task_type` is 1, not text"),
        ({"use_meanflow": True}, "`use_meanflow` is True, not False"),
        ({"num_experts": 8}, "`num_experts` is not a setting of this model"),
    ],
)
def test_a_transformer_that_cannot_be_run_is_refused(values: dict[str, object], fault: str):
    with pytest.raises(CheckpointError) as error:
        parse_dit(**values)
    assert str(error.value) == REFUSED + fault + FIX


def test_all_faults_of_a_transformer_are_listed():
    with pytest.raises(CheckpointError) as error:
        parse_dit(in_channels=33, patch_size=2, num_experts=8)
    assert str(error.value) == (
        f"{REFUSED}`num_experts` is not a setting of this model\n"
        "  `in_channels` is 33, not 65\n"
        f"  `patch_size` is 2, not 1{FIX}"
    )


def test_a_whole_number_is_a_float_where_one_is_wanted():
    assert repr(parse_dit(rope_theta=256).rope_theta) == "256.0"
    assert repr(parse_dit(mlp_ratio=4).mlp_ratio) == "4.0"
    assert repr(parse_scheduler(shift=5).shift) == "5.0"
    assert repr(parse_guider(guidance_scale=6, start=0).guidance_scale) == "6.0"


@pytest.mark.parametrize("parse", [parse_transformer_config, parse_scheduler_config, parse_guider_config])
def test_another_class_is_refused(parse):
    with pytest.raises(CheckpointError, match=r"^checkpoint/config.json: holds 'Other', not "):
        parse(Settings(WHERE, {"_class_name": "Other"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use_dynamic_shifting", True),
        ("invert_sigmas", True),
        ("shift_terminal", 0.1),
        ("use_karras_sigmas", True),
        ("use_exponential_sigmas", True),
        ("use_beta_sigmas", True),
        ("stochastic_sampling", True),
    ],
)
def test_a_schedule_that_is_not_implemented_is_refused(name: str, value: object):
    with pytest.raises(CheckpointError) as error:
        parse_scheduler(**{name: value})
    assert str(error.value) == (
        f"{REFUSED}`{name}` is {value!r}, but only schedules with a constant shift are implemented{FIX}"
    )


def test_an_unknown_setting_of_the_scheduler_is_refused():
    with pytest.raises(CheckpointError) as error:
        parse_scheduler(sigma_schedule="cosine")
    assert str(error.value) == f"{REFUSED}`sigma_schedule` is not a setting of this model{FIX}"


@pytest.mark.parametrize("shift", [0, -1.0, "3", None, True, float("nan"), float("inf")])
def test_a_shift_that_is_no_positive_number_is_refused(shift: object):
    with pytest.raises(CheckpointError) as error:
        parse_scheduler(shift=shift)
    assert str(error.value) == f"{REFUSED}`shift` is {shift!r}, not a finite number above 0{FIX}"


def test_all_faults_of_a_guider_are_listed():
    with pytest.raises(CheckpointError) as error:
        parse_guider(
            guidance_scale=-1,
            guidance_rescale=0.7,
            use_original_formulation=True,
            start=0.1,
            stop=0.9,
            enabled=False,
            zero_init_steps=1,
        )
    assert str(error.value) == (
        f"{REFUSED}`zero_init_steps` is not a setting of this model\n"
        "  `guidance_scale` is -1, not a finite number above 0\n"
        "  `guidance_rescale` is 0.7, not 0.0\n"
        "  `use_original_formulation` is True, not False\n"
        "  `start` is 0.1, not 0.0\n"
        "  `stop` is 0.9, not 1.0\n"
        "  `enabled` is False, not True\n"
        "  Guidance here is uncond + guidance_scale * (cond - uncond) in all steps. Use a checkpoint whose guider does "
        "that, or change these settings in a copy of this one."
    )


def test_the_settings_of_a_checkpoint_are_those_of_its_three_components():
    config = read_model_config(Checkpoint(SHAPES))
    assert config.transformer == parse_transformer_config(read_settings(SHAPES / "transformer" / "config.json"))
    assert config.scheduler == parse_scheduler_config(read_settings(SHAPES / "scheduler" / "scheduler_config.json"))
    assert config.guider == parse_guider_config(read_settings(SHAPES / "guider" / "guider_config.json"))
