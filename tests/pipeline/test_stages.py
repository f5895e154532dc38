"""The order of the stages, and what a project adds."""

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from stages.errors import ParamsError
from stages.pipeline.stages import STAGES, Pipeline, read_pipeline

PROJECT = Path(__file__).parents[2]
BUILT_IN = [f"stages.pipeline.{name}" for name in ("encode", "denoise", "decode", "export")]
BLUR = """
from stages.pipeline.contracts import FRAMES
from stages.pipeline.rules import Table
from stages.pipeline.stage import HOST, Program, Stage

STAGE = Stage("blur", "frames -> softer frames", Table, reads=(FRAMES,), makes=FRAMES, program=Program("blur", HOST))
"""


def write_list(root: Path, *modules: str) -> Path:
    (root / "pyproject.toml").write_text(f"[tool.hunyuan-stages]\nstages = {[*modules]!r}\n")
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stage of its own."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "blur", raising=False)
    (tmp_path / "blur.py").write_text(BLUR)
    return tmp_path


def message(root: Path) -> str:
    with pytest.raises(ParamsError) as error:
        read_pipeline(root)
    return str(error.value)


def test_stages_run_in_this_order():
    assert Pipeline().names == ("encode", "denoise", "decode", "export")


def test_every_stage_reads_what_a_stage_before_it_makes():
    readers = [(stage.name, [maker.name for maker in Pipeline().producers(stage).values()]) for stage in STAGES]
    assert readers == [("encode", []), ("denoise", ["encode"]), ("decode", ["denoise"]), ("export", ["decode"])]


def test_each_program_is_there_and_can_be_started_by_hand():
    for program in Pipeline().programs:
        assert find_spec(f"{program.package}.edge")
        assert find_spec(f"{program.package}.__main__")


@pytest.mark.parametrize("text", [None, "", '[project]\nname = "hunyuan-stages"\n', "[tool.hunyuan-stages]\n"])
def test_a_project_that_lists_no_stages_has_those_of_this_package(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    assert read_pipeline(tmp_path) == Pipeline()


def test_the_list_that_the_docstring_shows_is_that_of_the_order():
    listed = tomllib.loads(f"[tool.hunyuan-stages]\nstages = {BUILT_IN!r}")["tool"]["hunyuan-stages"]["stages"]
    assert listed == BUILT_IN


def test_a_stage_between_two_others_is_known_to_neither(root: Path):
    pipeline = read_pipeline(write_list(root, *BUILT_IN[:3], "blur", BUILT_IN[3]))
    assert pipeline.names == ("encode", "denoise", "decode", "blur", "export")
    assert [maker.name for maker in pipeline.producers(pipeline["blur"]).values()] == ["decode"]
    assert [maker.name for maker in pipeline.producers(pipeline["export"]).values()] == ["blur"]


@pytest.mark.parametrize(
    "text", ['tool = { hunyuan-stages = { stages = ["blur"] } }', '[tool]\n"hunyuan-stages" = { stages = ["blur"] }']
)
def test_the_list_is_found_however_it_is_written(root: Path, text: str):
    (root / "pyproject.toml").write_text(text)
    assert message(root).startswith("pyproject.toml, tool.hunyuan-stages.stages: `blur` reads frames")


def test_all_stages_that_do_not_fit_are_reported_at_once(root: Path):
    assert message(write_list(root, "blur", *BUILT_IN, BUILT_IN[0])) == (
        "pyproject.toml, tool.hunyuan-stages.stages: `blur` reads frames, which no stage before it makes; "
        "there are two stages `encode`."
    )


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("stages.keys", "AttributeError: module 'stages.keys' has no attribute 'STAGE'"),
    ],
)
def test_a_module_without_a_declaration_is_named(root: Path, module: str, reason: str):
    assert message(write_list(root, module)) == (
        f"pyproject.toml, tool.hunyuan-stages.stages, '{module}': declares no stage ({reason}). Name a module that "
        "has a `STAGE`."
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[tool.hunyuan-stages]\nstages = 1\n", "tool.hunyuan-stages.stages: must be a list of names of modules."),
        ("[tool.hunyuan-stages]\nstages = []\n", "tool.hunyuan-stages.stages: there is no stage."),
        (
            "[tool.hunyuan-stages\n",
            "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 21).",
        ),
    ],
)
def test_a_list_that_is_none_is_reported(root: Path, text: str, fault: str):
    (root / "pyproject.toml").write_text(text)
    assert message(root) in (f"pyproject.toml, {fault}", f"pyproject.toml: {fault}")
