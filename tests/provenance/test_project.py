"""A project in whose folder a file is looked at."""

from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.stages import Pipeline
from stages.provenance.project import open_project
from tests.project import copy_params, set_defaults


def test_it_needs_neither_a_video_nor_a_parameter(tmp_path: Path):
    project = open_project(tmp_path, {})
    assert (project.store.root, project.pipeline) == (tmp_path / "artifacts", Pipeline())


def test_what_is_wrong_with_other_parameters_does_not_stop_it(tmp_path: Path):
    (copy_params(tmp_path) / "params/denoise.toml").write_text("seed = true\nhello")
    assert open_project(tmp_path, {}).store.root == tmp_path / "artifacts"


def test_its_store_is_where_the_settings_of_the_machine_say(tmp_path: Path):
    set_defaults(copy_params(tmp_path), "machine", artifacts="elsewhere")
    assert open_project(tmp_path, {}).store.root == tmp_path / "elsewhere"
    assert open_project(tmp_path, {"machine.artifacts": "third"}).store.root == tmp_path / "third"


def test_a_wrong_setting_of_the_machine_is_an_error(tmp_path: Path):
    with pytest.raises(ParamsError, match=r'^command line, machine.platform = "abacus": must be .*\.$'):
        open_project(tmp_path, {"machine.platform": "abacus"})
