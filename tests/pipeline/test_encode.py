"""The declaration of encode."""

import pytest
from pydantic import ValidationError

from stages.pipeline.encode import STAGE, EncodeParams


def test_encode_reads_the_text_side_of_a_checkpoint_and_no_artifact():
    names = [component.name for component in STAGE.components]
    assert names == ["text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"]
    assert STAGE.reads == ()


def test_only_the_prompt_has_no_default():
    assert [name for name, field in EncodeParams.model_fields.items() if field.is_required()] == ["prompt"]


@pytest.mark.parametrize("prompt", [" ", "\t\n", "\u3000"])
def test_a_prompt_of_white_space_is_refused(prompt: str):
    with pytest.raises(ValidationError, match="is only white space"):
        EncodeParams(prompt=prompt)


def test_a_prompt_may_be_empty():
    assert EncodeParams(prompt="").prompt == ""
