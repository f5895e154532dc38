"""A checkpoint's settings are read whole, and what cannot be run is named."""

import inspect
import json
from pathlib import Path

import pytest
from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanVideo15Transformer3DModel

import stages
from stages.denoise.config import (
    SchedulerConfig,
    TransformerConfig,
    as_arguments,
    parse_scheduler_config,
    parse_transformer_config,
)
from stages.errors import CheckpointError

SHAPES = Path(stages.__file__).parent / "builtin" / "shapes"
WHERE = Path("checkpoint/config.json")
DIT = {"_class_name": "HunyuanVideo15Transformer3DModel"}
SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


def parse_dit(**values: object) -> TransformerConfig:
    return parse_transformer_config(json.dumps({**DIT, **values}), where=WHERE)


def parse_scheduler(**values: object) -> SchedulerConfig:
    return parse_scheduler_config(json.dumps({**SCHEDULER, **values}), where=WHERE)


def defaults(diffusers_class: type) -> dict[str, object]:
    parameters = inspect.signature(diffusers_class.__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "self"}


def test_settings_that_a_checkpoint_leaves_out_are_those_of_diffusers():
    assert as_arguments(parse_dit()) == defaults(HunyuanVideo15Transformer3DModel)
    assert parse_scheduler() == SchedulerConfig(shift=1.0, num_train_timesteps=1000)
    assert {"shift": 1.0, "num_train_timesteps": 1000}.items() <= defaults(FlowMatchEulerDiscreteScheduler).items()


def test_the_built_in_checkpoint_can_be_run():
    file = SHAPES / "transformer" / "config.json"
    stored = {name: value for name, value in json.loads(file.read_text()).items() if not name.startswith("_")}
    assert json.loads(json.dumps(as_arguments(parse_transformer_config(file.read_text(), where=file)))) == stored
    scheduler = SHAPES / "scheduler" / "scheduler_config.json"
    assert parse_scheduler_config(scheduler.read_text(), where=scheduler).shift > 0


def test_all_faults_of_a_transformer_are_listed():
    with pytest.raises(CheckpointError) as error:
        parse_dit(in_channels=33, patch_size=2, rope_axes_dim=[16, 16, 16])
    assert str(error.value) == (
        "checkpoint/config.json: this checkpoint cannot be run:\n"
        "  `in_channels`, `out_channels` are 33, 32, not 65, 32\n"
        "  `patch_size`, `patch_size_t` are 2, 1, not 1, 1\n"
        "  `rope_axes_dim` [16, 16, 16] does not add up to `attention_head_dim` 128"
    )


def test_unknown_settings_and_wrong_types_are_listed():
    with pytest.raises(CheckpointError) as error:
        parse_dit(num_experts=8, num_layers="54", use_meanflow=1, mlp_ratio=True)
    assert str(error.value) == (
        "checkpoint/config.json: this checkpoint cannot be run:\n"
        "  `num_experts` is not a setting of this model\n"
        "  `num_layers` is '54', not of type int\n"
        "  `use_meanflow` is 1, not of type bool\n"
        "  `mlp_ratio` is True, not of type float"
    )


def test_a_whole_number_is_a_float():
    assert repr(parse_dit(rope_theta=256).rope_theta) == "256.0"
    assert repr(parse_scheduler(shift=5).shift) == "5.0"


@pytest.mark.parametrize("text", ['{"_class_name": "WanTransformer3DModel"}', "{}"])
def test_another_architecture_is_refused(text: str):
    with pytest.raises(CheckpointError) as error:
        parse_transformer_config(text, where=WHERE)
    assert str(error.value) == (
        f"checkpoint/config.json: holds {json.loads(text).get('_class_name')!r}, "
        "not HunyuanVideo15Transformer3DModel. Use a checkpoint of HunyuanVideo-1.5."
    )


def test_a_cut_file_is_refused():
    with pytest.raises(CheckpointError, match=r"^checkpoint/config.json: not JSON \(.*\). Download or copy the"):
        parse_scheduler_config('{"_class_name": "Flow', where=WHERE)


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
        "checkpoint/config.json: this checkpoint cannot be run:\n"
        f"  `{name}` is {value!r}, but only schedules with a constant shift are implemented"
    )


@pytest.mark.parametrize("shift", [0, -1.0, "3", None, True])
def test_a_shift_that_is_no_positive_number_is_refused(shift: object):
    with pytest.raises(CheckpointError) as error:
        parse_scheduler(shift=shift)
    assert str(error.value).endswith(f"`shift` is {shift!r}, not of type float and above 0")
