"""The parameters of one video. Faults of values are in test_params.py."""

from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.denoise import DenoiseParams
from stages.pipeline.rules import Table
from stages.pipeline.stages import Pipeline
from stages.request.layers import Faults, Tables, Value, VideoFile
from stages.request.tables import ModelParams
from stages.request.video_params import VideoChecker, VideoParams

MODELS: dict[str, type[Table]] = {"model": ModelParams, **{stage.name: stage.parameters for stage in Pipeline()}}


def check(faults: Faults, tables: Tables) -> VideoParams | None:
    values: Tables = {table: tables.get(table, {}) for table in MODELS}
    return VideoChecker(MODELS, faults).video("v", VideoFile("v.toml", {}, frozenset()), values, unread=frozenset())


def test_a_video_with_a_fault_is_none():
    faults = Faults(Path())
    assert check(faults, {}) is None
    assert faults.lines == [
        "v.toml, encode.prompt: is missing. Add `prompt` to its table [encode], or to params/encode.toml for all "
        "videos."
    ]


def test_a_table_is_found_by_its_kind():
    video = check(Faults(Path()), {"encode": {"prompt": Value("x", "v.toml")}})
    assert video is not None
    assert video.table(DenoiseParams) is video.stages["denoise"]


def test_a_table_that_the_project_does_not_have_is_an_error():
    with pytest.raises(ParamsError, match="no stage of this project has the parameters that are asked for here"):
        VideoParams(ModelParams(), {}).table(DenoiseParams)
