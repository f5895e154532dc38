"""The code that would make an artifact again."""

from pathlib import Path

import pytest

from stages.keys import Key
from stages.provenance.code import CodeHere
from stages.provenance.project import open_project
from stages.provenance.record import Made
from tests.provenance.videos import build_project, code_of, load, nodes_of, publish_all

KEY = Key("0" * 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build_project(tmp_path / "project")


def test_it_is_that_of_the_program_that_the_parameters_choose(root: Path):
    build, code = load(root), CodeHere(open_project(root, {}))
    for stage, node in nodes_of(root).items():
        assert code.of(Made(stage, node.key, node.parameters, node.components)) == code_of(build, node)
    assert code.of(Made("denoise", KEY, {"from_file": "d" * 32}, {})) == build.code["stages.from_file"]


def test_there_is_none_of_a_stage_or_a_decoder_that_is_not_here(root: Path):
    code = CodeHere(open_project(root, {}))
    assert code.of(Made("upscale", KEY, {}, {})) is None
    assert code.of(Made("decode", KEY, {"decoder": "abacus"}, {})) is None
    assert code.of(Made("decode", KEY, {}, {})) is None


def test_what_is_in_the_store_by_the_present_code_is_fresh(root: Path):
    node = nodes_of(root)["export"]
    assert not CodeHere(open_project(root, {})).is_fresh(node)
    publish_all(root)
    assert CodeHere(open_project(root, {})).is_fresh(node)
