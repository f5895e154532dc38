"""What keeps denoise from its work is known without JAX and torch."""

import json
from pathlib import Path

from tests.chains import edit_settings, faults_of
from tests.project import SHAPES, copy_checkpoint


def test_text_encoders_of_another_width_than_the_transformer_reads_are_found(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    edit_settings(checkpoint / "text_encoder" / "config.json", hidden_size=72)
    (fault,) = faults_of(checkpoint, first="denoise")
    width = json.loads((SHAPES / "transformer" / "config.json").read_text())["text_embed_dim"]
    assert fault == (
        f"{checkpoint}/transformer/config.json: `text_embed_dim` is {width}, but `hidden_size` in "
        f"{checkpoint}/text_encoder/config.json is 72. Use a checkpoint whose text encoders and transformer belong "
        "together."
    )


def test_another_scheduler_is_refused(tmp_path: Path):
    checkpoint = copy_checkpoint(tmp_path / "model")
    file = checkpoint / "scheduler" / "scheduler_config.json"
    edit_settings(file, _class_name="UniPCMultistepScheduler")
    (fault,) = faults_of(checkpoint, first="denoise")
    assert fault.startswith(f"{file}: holds 'UniPCMultistepScheduler', not FlowMatchEulerDiscreteScheduler.")
