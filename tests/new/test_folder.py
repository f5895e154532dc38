"""What a new project's folder holds, and that one is whole or not there."""

import configparser
import os
import tomllib
from pathlib import Path

import pytest

from stages.commands import tasks
from stages.errors import ProjectError
from stages.new.folder import SETTINGS, make_project, template_files, update_settings
from stages.pipeline.stages import COMMAND_NAMES
from tests.builders import acting_as_nobody, files_below
from tests.mounts import mounted
from tests.project import PROJECT

ADVICE = "Name a folder that is not there yet, or an empty one."


def refusal(folder: Path) -> str:
    with pytest.raises(ProjectError) as caught:
        make_project(folder)
    return str(caught.value)


def test_it_holds_what_this_repository_has_as_a_project(tmp_path: Path):
    """`.gitignore` and README.md here are about more than a project; doit's settings are in pyproject.toml."""
    make_project(tmp_path / "videos")
    made = files_below(tmp_path / "videos")
    ours = {path: (PROJECT / path).read_bytes() for path in made if path.startswith("params/") or path == "dodo.py"}
    assert {path: made[path] for path in ours} == ours
    assert made.keys() - ours.keys() == {"README.md", ".gitignore", SETTINGS}
    assert {f"params/{path}" for path in files_below(PROJECT / "params")} <= made.keys()


def test_its_settings_of_doit_are_those_of_this_repository(tmp_path: Path):
    make_project(tmp_path / "videos")
    settings = configparser.ConfigParser()
    settings.optionxform = str  # type: ignore[assignment,method-assign] # as doit does
    settings.read(tmp_path / "videos" / SETTINGS)
    ours = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["doit"]
    assert {name: dict(settings[name]) for name in settings.sections()} == {
        "GLOBAL": {"loader": ours["loader"]},
        "LOADER": ours["plugins"]["loader"],
        "COMMAND": ours["plugins"]["command"],
    }
    assert settings["COMMAND"].keys() == COMMAND_NAMES


def test_its_tasks_come_from_the_package_in_three_lines():
    lines = [line for line in template_files()["dodo.py"].decode().splitlines() if line and not line.startswith('"""')]
    assert len(lines) == 3
    assert f"from {tasks.__name__} import make_tasks" in lines


def test_its_artifacts_are_ignored_by_git():
    assert "/artifacts/" in template_files()[".gitignore"].decode().splitlines()


def test_folders_above_it_are_made(tmp_path: Path):
    make_project(tmp_path / "a/b/videos")
    assert (tmp_path / "a/b/videos/dodo.py").is_file()


def test_an_empty_folder_is_filled_also_by_a_link_to_it(tmp_path: Path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "link").symlink_to("videos")
    make_project(tmp_path / "link")
    assert (tmp_path / "videos/dodo.py").is_file()


def test_a_git_repository_without_files_and_an_environment_are_no_files(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".venv").mkdir()
    make_project(tmp_path)
    assert (tmp_path / "dodo.py").is_file()


@pytest.mark.parametrize(
    ("names", "held"),
    [(["notes\x1b.txt"], "notes\\x1b.txt"), ([".git", "a", "b", "c"], "a and 2 more"), ([".gitignore"], ".gitignore")],
)
def test_a_folder_with_files_is_refused_and_stays(tmp_path: Path, names: list[str], held: str):
    for name in names:
        (tmp_path / name).write_text("mine")
    before = files_below(tmp_path)
    assert refusal(tmp_path) == f"{tmp_path}: is not empty: it holds {held}. {ADVICE}"
    assert files_below(tmp_path) == before


def test_what_is_no_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("nowhere")
    assert refusal(tmp_path / "file") == f"{tmp_path}/file: is a file, and not a folder. {ADVICE}"
    assert refusal(tmp_path / "fifo") == f"{tmp_path}/fifo: is a FIFO, and not a folder. {ADVICE}"
    assert refusal(tmp_path / "link") == f"{tmp_path}/link: is a link that leads nowhere. {ADVICE}"
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(("below", "reason"), [("file/videos", "Not a directory"), ("n" * 300, "File name too long")])
def test_what_can_be_no_folder_is_refused(tmp_path: Path, below: str, reason: str):
    (tmp_path / "file").write_text("mine")
    assert refusal(tmp_path / below) == f"{tmp_path}/{below}: cannot be read ({reason}). {ADVICE}"


def test_where_nothing_may_be_written_it_is_refused(tmp_path: Path):
    tmp_path.chmod(0o755)
    with acting_as_nobody(tmp_path):
        said = refusal(tmp_path / "a/videos")
    assert said == f"{tmp_path}/a: cannot be written (Permission denied). {ADVICE}"


def test_what_was_written_before_a_fault_is_taken_away(tmp_path: Path):
    with mounted(tmp_path / "disk", "size=24k"):  # three of its pages are for files
        (tmp_path / "disk/empty").mkdir()
        for folder in (tmp_path / "disk/empty", tmp_path / "disk/a/b"):
            said = refusal(folder)
            assert said.startswith(f"{folder}/")
            assert said.endswith(f": cannot be written (No space left on device). {ADVICE}")
        assert [*(tmp_path / "disk").rglob("*")] == [tmp_path / "disk/empty"]


def test_an_update_writes_the_settings_anew_and_nothing_else(tmp_path: Path):
    make_project(tmp_path)
    (tmp_path / "params/model.toml").write_text("# mine\n")
    before = files_below(tmp_path)
    assert not update_settings(tmp_path)
    (tmp_path / SETTINGS).write_text("[GLOBAL]\n")
    assert update_settings(tmp_path)
    (tmp_path / SETTINGS).unlink()
    assert update_settings(tmp_path)
    assert files_below(tmp_path) == before


def test_an_update_of_what_is_no_project_is_refused(tmp_path: Path):
    with pytest.raises(ProjectError) as caught:
        update_settings(tmp_path)
    assert str(caught.value) == f"{tmp_path}: holds no dodo.py. --update is for the folder of a project."
    assert [*tmp_path.iterdir()] == []


def test_an_update_that_cannot_be_written_says_so(tmp_path: Path):
    make_project(tmp_path)
    (tmp_path / SETTINGS).unlink()
    (tmp_path / SETTINGS).mkdir()
    with pytest.raises(ProjectError) as caught:
        update_settings(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/{SETTINGS}: cannot be written (Is a directory). Fix that and run it again."
    )
