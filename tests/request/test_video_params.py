"""One video between the layers below and above it. Drafts are in test_draft.py, faults of values in test_params.py."""

from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.rules import Table
from stages.pipeline.stages import Pipeline
from stages.request.layers import Faults, Value, VideoFile
from stages.request.tables import ModelParams
from stages.request.video_params import Layers, VideoChecker, VideoParams

TABLES: dict[str, type[Table]] = {"model": ModelParams, **{stage.name: stage.parameters for stage in Pipeline()}}
FILE = VideoFile("v.toml", {"encode": {"prompt": Value("x", "v.toml")}}, frozenset())


def check(faults: Faults, file: VideoFile, **tables: dict[str, Value]) -> VideoParams | None:
    """A video below what the command line says."""
    return VideoChecker(TABLES, Pipeline(), faults).video("v", file, Layers({}, {}, tables, frozenset()), False)


def test_what_is_above_a_file_goes_before_it():
    video = check(Faults(Path()), FILE, encode={"prompt": Value("y", "command line")})
    assert video is not None
    assert video.of_stage("encode")["prompt"] == "y"


def test_a_video_with_a_fault_is_none():
    faults = Faults(Path())
    assert check(faults, VideoFile("v.toml", {}, frozenset())) is None
    assert faults.lines == [
        "v.toml, encode.prompt: is missing. Add `prompt` to its table [encode], or to params/encode.toml for all "
        "videos."
    ]


def test_nothing_is_missing_in_a_table_that_could_not_be_read():
    faults = Faults(Path())
    assert check(faults, VideoFile("v.toml", {}, frozenset({"encode"}))) is None
    assert faults.lines == []


def test_a_table_is_found_by_its_kind():
    video = check(Faults(Path()), FILE)
    assert video is not None
    assert video.table(DenoiseParams) is video.stages["denoise"]


def test_a_table_that_the_project_does_not_have_is_an_error():
    with pytest.raises(ParamsError, match="no stage of this project has the parameters that are asked for here"):
        VideoParams(ModelParams(), {}).table(DenoiseParams)


def test_changes_are_those_of_one_table():
    video = check(Faults(Path()), FILE)
    assert video is not None
    changed = video.with_changes("denoise", seed=7)
    assert changed.of_stage("denoise")["seed"] == 7
    assert changed.stages["encode"] is video.stages["encode"]
