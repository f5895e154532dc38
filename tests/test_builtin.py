"""The checkpoint that ships with the package."""

import io
import json
import tomllib
import zipfile
from pathlib import Path

import ml_dtypes  # noqa: F401 (numpy learns bfloat16)
import numpy as np
import pytest
from safetensors import safe_open

from stages.pipeline.stages import STAGES
from tests.project import PROJECT, SHAPES

MIB = 1024**2


def files() -> list[Path]:
    return [path for path in SHAPES.rglob("*") if path.is_file()]


def test_it_has_every_component_that_a_stage_reads():
    for stage in STAGES:
        for component in stage.components:
            assert (SHAPES / component.name).is_dir()


def test_the_default_video_is_guided_as_the_checkpoint_says():
    guider = json.loads((SHAPES / "guider/guider_config.json").read_text())
    demo = tomllib.loads((PROJECT / "params/videos/demo.toml").read_text())
    assert demo["denoise"]["guidance_scale"] == guider["guidance_scale"]


def test_it_is_at_most_20_mib():
    assert sum(path.stat().st_size for path in files()) <= 20 * MIB


def test_it_is_at_most_12_mib_in_a_wheel():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in files():
            wheel.write(path)
    assert packed.tell() <= 12 * MIB


def test_its_weights_are_safetensors_and_nothing_is_pickled():
    assert {path.suffix for path in files()} <= {".json", ".safetensors", ".md", ".jinja", ".txt", ""}


@pytest.mark.parametrize("component", ["transformer", "vae", "text_encoder", "text_encoder_2"])
def test_its_weights_are_finite(component: str):
    (path,) = (SHAPES / component).glob("*.safetensors")
    with safe_open(path, framework="numpy") as weights:
        for name in weights.keys():  # noqa: SIM118 (not a mapping)
            assert np.isfinite(weights.get_tensor(name).astype(np.float32)).all(), name


def test_it_has_a_card():
    assert "Apache-2.0" in (SHAPES / "README.md").read_text()
