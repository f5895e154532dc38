"""A crop that does not fit is reported before anything runs."""

from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline import decode, denoise, encode, export
from stages.pipeline.stage import HOST, Program, Stage
from stages.pipeline.stages import Pipeline
from stages.request.params import load_params
from tests.project import copy_params

BIGGER = Stage(  # a stage of a project's own that makes other frames
    name="enlarge",
    summary="frames -> larger frames",
    parameters=encode.STAGE.parameters,
    reads=decode.STAGE.reads,
    makes=decode.STAGE.makes,
    program=Program("enlarge", HOST),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy_params(tmp_path)  # its frames are 96x96


def fault(root: Path, **overrides: str) -> str:
    with pytest.raises(ParamsError) as error:
        load_params(root, {name.replace("__", "."): text for name, text in overrides.items()}, Pipeline())
    return str(error.value)


@pytest.mark.parametrize("crop", ["96x96", "16x96", "90x50", ""])
def test_a_crop_that_fits_is_taken(root: Path, crop: str):
    assert load_params(root, {"export.crop": crop}, Pipeline()).videos["demo"].stages["export"].crop == crop  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("crop", "width", "height"), [("1920x1080", 1920, 1088), ("98x96", 112, 96), ("16x100", 96, 112)]
)
def test_a_crop_that_is_too_large_is_reported_with_the_frames_that_it_needs(
    root: Path, crop: str, width: int, height: int
):
    assert fault(root, export__crop=crop) == (
        f'command line, export.crop = "{crop}": must be no larger than the frames, which are 96x96. For the video '
        f"`demo`, set denoise.width = {width} and denoise.height = {height}, or a smaller crop."
    )
    load_params(root, {"export.crop": crop, "denoise.width": str(width), "denoise.height": str(height)}, Pipeline())


def test_it_is_reported_where_it_stands_and_beside_other_faults(root: Path):
    (root / "params/export.toml").write_text('crop = "100x90"\n')
    (root / "params/videos/wide.toml").write_text('[encode]\nprompt = "x"\n[denoise]\nwidth = 1280\n')
    assert fault(root, denoise__sed="1") == (
        "command line, denoise.sed = 1: no such parameter. Did you mean `denoise.seed`?\n"
        '  demo: params/export.toml, export.crop = "100x90": must be no larger than the frames, which are 96x96. Set '
        "denoise.width = 112 and denoise.height = 96, or a smaller crop."
    )


def test_of_latents_from_elsewhere_nothing_is_said_before_they_are_read(root: Path):
    (root / "mine.safetensors").touch()
    load_params(root, {"export.crop": "1920x1080", "denoise.from_file": "mine.safetensors"}, Pipeline())


def test_of_frames_that_a_stage_of_the_project_makes_nothing_is_said(root: Path):
    own = Pipeline((encode.STAGE, denoise.STAGE, decode.STAGE, BIGGER, export.STAGE))
    load_params(root, {"export.crop": "1920x1080", "enlarge.prompt": "x"}, own)
