"""What keeps encode from its work is known without torch."""

from pathlib import Path

import pytest

from tests.chains import edit_settings, faults_of
from tests.project import copy_checkpoint


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
def test_another_model_than_the_pipelines_is_refused(tmp_path: Path, component: str):
    checkpoint = copy_checkpoint(tmp_path / "model")
    edit_settings(checkpoint / component / "config.json", architectures=["LlamaModel"])
    (fault,) = faults_of(checkpoint)
    assert fault.startswith(f"{checkpoint}/{component}/config.json: this checkpoint cannot be run:\n  `architectures`")
