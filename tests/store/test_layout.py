"""Names of the folders in a store: none is taken for a stage's, or given to one."""

import ast
from pathlib import Path

import pytest

from stages.keys import STAGE_NAME
from stages.machine.kept_programs import FOLDER as PROGRAMS
from stages.store import layout
from stages.store.artifacts import Store
from stages.store.inventory import list_artifacts
from tests.builders import build_node, publish
from tests.project import PROJECT

NAMES = {name for name, value in vars(layout).items() if name.isupper() and isinstance(value, str)}


def test_every_folder_that_could_be_a_stages_is_known_to_be_none():
    folders = {vars(layout)[name] for name in NAMES} | {PROGRAMS}
    assert {folder for folder in folders if STAGE_NAME.fullmatch(folder)} == layout.NO_STAGES


@pytest.mark.parametrize("folder", sorted(layout.NO_STAGES))
def test_what_lies_in_them_is_no_artifact_of_a_stage(tmp_path: Path, folder: str):
    store = Store(tmp_path)
    publish(store, build_node())
    (tmp_path / "encode").rename(tmp_path / folder)
    assert [*list_artifacts(tmp_path)] == []


def test_no_other_module_spells_one_as_the_name_of_a_folder():
    """After a `/`, as paths are put together."""
    folders = {vars(layout)[name] for name in NAMES}
    spelled = [
        f"{path.relative_to(PROJECT)}: {node.right.value}"
        for path in (PROJECT / "stages").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if isinstance(node.right, ast.Constant) and node.right.value in folders
    ]
    assert spelled == []
