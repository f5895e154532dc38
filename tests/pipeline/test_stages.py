"""The order of the stages, and what a project adds."""

import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from stages.errors import ParamsError
from stages.pipeline import stages
from stages.pipeline.stages import STAGES, Pipeline, read_pipeline

BUILT_IN = [f"stages.pipeline.{name}" for name in ("encode", "denoise", "decode", "export")]
NO_NAME = "cannot be the name of a stage: it is taken, or not made of a-z, 0-9 and _"
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
    block = dedent(str(stages.__doc__).split("`STAGE`:")[1])
    listed = tomllib.loads(block)["tool"]["hunyuan-stages"]["stages"]
    built_in = [name for name in listed if name != "brighten.stage"]
    assert built_in == BUILT_IN
    assert tuple(import_module(name).STAGE for name in built_in) == STAGES


def test_a_stage_between_two_others_is_known_to_neither(root: Path):
    pipeline = read_pipeline(write_list(root, *BUILT_IN[:3], "blur", BUILT_IN[3]))
    assert pipeline.names == ("encode", "denoise", "decode", "blur", "export")
    assert [maker.name for maker in pipeline.producers(pipeline["blur"]).values()] == ["decode"]
    assert [maker.name for maker in pipeline.producers(pipeline["export"]).values()] == ["blur"]


@pytest.mark.parametrize(
    "text",
    [
        '["tool"."hunyuan-stages"]\nstages = ["blur"]',
        'tool = { hunyuan-stages = { stages = ["blur"] } }',
        '[tool]\n"hunyuan-stages" = { stages = ["blur"] }',
    ],
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


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'Stage("blur"',
            'Stage("up-scale"',
            f"`up-scale` {NO_NAME}",
        ),
        (
            'Stage("blur"',
            'Stage("model"',
            f"`model` {NO_NAME}",
        ),
        (
            'Stage("blur"',
            'Stage("forget"',
            f"`forget` {NO_NAME}",
        ),
        (
            'Stage("blur"',
            'Stage("sweep"',
            f"`sweep` {NO_NAME}",
        ),
        (
            "makes=FRAMES",
            'makes=replace(FRAMES, payload="../x")',
            "`blur` makes '../x', which is not the plain name of a file",
        ),
        ("HOST)", '"gpu")', "`blur` is for the device 'gpu', not one of host, accelerator, disk"),
        (
            'Program("blur", HOST)',
            'Program("blur", HOST), file_program=Program("blur", HOST)',
            "`blur` has either `from_file` among its parameters or a file_program, and not both",
        ),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_before_anything_runs(root: Path, old: str, new: str, fault: str):
    text = (root / "blur.py").read_text().replace(old, new)
    (root / "blur.py").write_text("from dataclasses import replace\n" + text)
    sys.modules.pop("blur", None)
    found = message(write_list(root, *BUILT_IN[:3], "blur", BUILT_IN[3]))
    assert found.startswith(f"pyproject.toml, tool.hunyuan-stages.stages: {fault}")


def test_a_component_that_is_only_named_is_refused_before_anything_runs(root: Path):
    """In a process of its own: here, the types of arguments are checked on every call."""
    text = (root / "blur.py").read_text().replace('Program("blur", HOST)', 'Program("blur", HOST), components=("vae",)')
    (root / "blur.py").write_text(text)
    write_list(root, *BUILT_IN[:3], "blur", BUILT_IN[3])
    program = f"from pathlib import Path; from stages.pipeline.stages import *; read_pipeline(Path({str(root)!r}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.endswith(
        "ParamsError: pyproject.toml, tool.hunyuan-stages.stages: `blur` names the component 'vae', which must be "
        "declared, as Component('vae', ...).\n"
    )


@pytest.mark.parametrize("text", ["[tool.hunyuan-stages]\nstage = []\n", 'tool.hunyuan-stages = "x"\n'])
def test_a_table_that_holds_something_else_is_reported(root: Path, text: str):
    (root / "pyproject.toml").write_text(text)
    assert (
        message(root) == "pyproject.toml, tool.hunyuan-stages: must be a table with the list `stages` and nothing else."
    )
