"""What a checkpoint was made for is known from its index, before anything else of it is read."""

import json
from pathlib import Path

import pytest

from stages.models.pipeline_class import PIPELINE, explain_class, explain_layout, explain_missing_index
from tests.project import SHAPES

ADVICE = "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-720p_t2v."


def write_index(folder: Path, name: object) -> Path:
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
    return folder


def test_a_text_to_video_checkpoint_has_no_fault():
    assert explain_class(SHAPES) is None


def test_a_checkpoint_without_an_index_has_none(tmp_path: Path):
    assert explain_class(tmp_path) is None


def test_an_image_to_video_checkpoint_is_named_as_such(tmp_path: Path):
    assert explain_class(write_index(tmp_path, "HunyuanVideo15ImageToVideoPipeline")) == (
        f"{tmp_path}/model_index.json: is an image-to-video checkpoint (HunyuanVideo15ImageToVideoPipeline), which is "
        "made for a first frame that nothing here gives it. Use a text-to-video checkpoint of HunyuanVideo-1.5, such "
        f"as {ADVICE}"
    )


@pytest.mark.parametrize("name", ["HunyuanVideoPipeline", "WanPipeline", "HunyuanVideo15ModularPipeline", None, 3])
def test_a_checkpoint_of_another_pipeline_is_named_as_such(tmp_path: Path, name: object):
    assert explain_class(write_index(tmp_path, name)) == (
        f"{tmp_path}/model_index.json: is of {name!r}, not of HunyuanVideo15Pipeline. Use a checkpoint of "
        f"HunyuanVideo-1.5 that diffusers reads, such as {ADVICE}"
    )


def test_an_index_that_is_no_json_is_reported(tmp_path: Path):
    (tmp_path / "model_index.json").write_text("{")
    assert str(explain_class(tmp_path)).startswith(f"{tmp_path}/model_index.json: not JSON (")


def test_the_layout_of_the_original_repository_is_recognised():
    paths = ["README.md", *(f"transformer/{name}/config.json" for name in ("720p_i2v_distilled", "480p_t2v"))]
    assert explain_layout("org/model", paths) == (
        "org/model: has a transformer for each of 480p_t2v, 720p_i2v_distilled: this is the layout of "
        "tencent/HunyuanVideo-1.5, with other names of weights. Use the checkpoint that diffusers reads, such as "
        f"{ADVICE}"
    )


@pytest.mark.parametrize("path", ["transformer/config.json", "transformer/720p/config.json", "x/480p_t2v/config.json"])
def test_other_layouts_are_not(path: str):
    assert explain_layout("org/model", [path]) is None


def test_a_folder_without_its_index_is_told(tmp_path: Path):
    assert explain_missing_index(tmp_path) == (
        f"{tmp_path}: has no model_index.json, so that nothing says for which pipeline it was made. It is taken as "
        "text-to-video of HunyuanVideo-1.5."
    )
    assert explain_missing_index(write_index(tmp_path, PIPELINE)) is None
