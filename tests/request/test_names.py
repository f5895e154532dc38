"""What is offered in place of a wrong name."""

import pytest

from stages.pipeline.stages import Pipeline
from stages.request.names import near
from stages.request.tables import MachineParams, ModelParams

TABLES = {"model": ModelParams, "machine": MachineParams, **{stage.name: stage.parameters for stage in Pipeline()}}
DOTTED = [f"{table}.{name}" for table, model in TABLES.items() for name in model.model_fields]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sed", " Did you mean `seed`?"),
        ("Seed", " Did you mean `seed`?"),
        ("steps", " Did you mean `num_inference_steps`?"),
        ("num-inference-steps", " Did you mean `num_inference_steps`?"),
        ("cfg", " Did you mean `guidance_scale`?"),
        ("size", " Did you mean `height` or `width`?"),
        ("colour", ""),
    ],
)
def test_a_name_of_a_table_is_offered_when_it_may_have_been_meant(name: str, hint: str):
    assert near(name, TABLES["denoise"].model_fields) == hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("denoise.sed", " Did you mean `denoise.seed`?"),
        ("denoise.steps", " Did you mean `denoise.num_inference_steps`?"),
        ("DENOISE.seed", " Did you mean `denoise.seed`?"),
        ("seed", " Did you mean `denoise.seed`?"),
        ("sed", " Did you mean `denoise.seed`?"),
        ("export.seed", " Did you mean `denoise.seed`?"),
        ("negative", " Did you mean `encode.negative_prompt`?"),
        ("frames", " Did you mean `denoise.num_frames`?"),
        ("dtype", " Did you mean `encode.dtype`, `denoise.dtype` or `decode.dtype`?"),
        ("nothing.at_all", ""),
    ],
)
def test_a_dotted_name_is_found_by_its_last_part_too(name: str, hint: str):
    assert near(name, DOTTED) == hint
