"""Where a text model's settings and tensors are, by itself and as a part of another model."""

import pytest

from stages.errors import CheckpointError
from stages.models.text_layouts import QWEN, T5

WHOLE = {"architectures": ["Qwen2_5_VLForConditionalGeneration"]}


def test_settings_of_the_model_by_itself_are_its_own():
    settings = {"architectures": ["Qwen2_5_VLTextModel"], "hidden_size": 1, "text_config": {"hidden_size": 2}}
    assert QWEN.select_settings(settings) == settings


def test_settings_of_a_part_are_in_a_table_of_their_own_or_beside_the_others():
    nested = WHOLE | {"model_type": "qwen2_5_vl", "text_config": {"hidden_size": 2}, "vision_config": {}}
    assert QWEN.select_settings(nested) == {"hidden_size": 2, "model_type": "qwen2_5_vl_text"}
    flat = WHOLE | {"model_type": "qwen2_5_vl", "hidden_size": 2, "vision_config": {}}
    assert QWEN.select_settings(flat) == WHOLE | {"hidden_size": 2, "model_type": "qwen2_5_vl_text"}


@pytest.mark.parametrize("prefix", ["", "model.", "model.language_model.", "language_model."])
def test_names_are_found_under_each_prefix(prefix: str):
    names = [f"{prefix}embed_tokens.weight", f"{prefix}norm.weight", "visual.a", "lm_head.weight"]
    assert QWEN.select_names(names, is_whole=True, where="here") == {
        "embed_tokens.weight": f"{prefix}embed_tokens.weight",
        "norm.weight": f"{prefix}norm.weight",
    }


def test_what_is_of_no_part_stays_to_be_reported():
    names = ["embed_tokens.weight", "lm_head.weight", "lora.up"]
    assert QWEN.select_names(names, is_whole=True, where="here").keys() == {"embed_tokens.weight", "lora.up"}
    assert QWEN.select_names(names, is_whole=False, where="here").keys() == set(names)


def test_another_prefix_is_named():
    with pytest.raises(CheckpointError) as error:
        T5.select_names(["module.encoder.final_layer_norm.weight"], is_whole=False, where="here")
    assert str(error.value) == (
        "here: the names of its tensors begin with `module.`, as another tool writes them: "
        "`module.encoder.final_layer_norm.weight` in place of `encoder.final_layer_norm.weight`. Use a checkpoint that "
        "diffusers has written, or take the prefix from the names."
    )
