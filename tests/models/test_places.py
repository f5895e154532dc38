"""Which place the name of a checkpoint means, and what is said of a name that means none."""

from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.checkpoint import Checkpoint
from stages.models.places import resolve, resolve_offline
from tests.models.builders import COMMIT, message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint's folder."""
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def test_a_folder_is_found_relative_to_the_project(folder: Path, tmp_path: Path):
    assert resolve("model", "", tmp_path).folder == folder
    assert resolve(str(folder), "", Path("/elsewhere")).folder == folder


def test_outside_a_project_a_folder_is_relative_to_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    assert resolve("model").folder.samefile(folder)


@pytest.mark.parametrize(
    "name", ["../model", "./model", "org/..", "org/.model", ".org/model", "a..b/model", "a--b/model"]
)
def test_a_name_that_leads_elsewhere_is_no_hub_id(tmp_path: Path, asked: list[str], name: str):
    assert message(name, "", tmp_path) == (
        f"model.checkpoint = {name!r}: no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )
    assert asked == []


def test_the_home_of_nobody_is_reported(tmp_path: Path):
    assert message("~no-such-user/model", "", tmp_path) == (
        "model.checkpoint = '~no-such-user/model': not a usable path (Could not determine home directory.). "
        "Correct the path in params/model.toml or the video's file."
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["model", "builtin:shapes"])
def test_a_revision_of_what_has_none_is_reported(tmp_path: Path, name: str):
    assert message(name, "v2", tmp_path) == (
        f"model.revision = 'v2': only a hub id has revisions, and model.checkpoint = {name!r} is none. "
        'Set revision = "" beside it.'
    )


def test_a_place_that_is_none_is_reported(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        resolve("builtin:shapes", "", tmp_path, components={"vae": "./nowhere"})
    assert str(error.value) == (
        "model.components.vae = './nowhere': no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )


def test_a_missing_folder_is_reported(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        resolve("./no/such/folder", "", tmp_path)
    assert str(error.value) == (
        "model.checkpoint = './no/such/folder': no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )


def test_an_unknown_built_in_is_reported_with_those_there_are(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        resolve("builtin:shape", "", tmp_path)
    assert str(error.value) == ("model.checkpoint = 'builtin:shape': no such built-in checkpoint. There is: shapes.")


def test_offline_a_revision_that_the_cache_does_not_know_is_nothing(tmp_path: Path, hub: Path, asked: list[str]):
    assert resolve_offline("org/model", "newer", tmp_path) is None
    assert resolve_offline("org/other", "", tmp_path) is None
    assert asked == []
    assert sorted(path.name for path in hub.parent.iterdir()) == ["models--org--model"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("revision", ["", COMMIT])
def test_offline_what_the_cache_knows_is_found(tmp_path: Path, revision: str):
    assert resolve_offline("org/model", revision, tmp_path) == resolve("org/model", COMMIT, tmp_path)


def test_offline_a_folder_is_found(folder: Path, tmp_path: Path):
    assert resolve_offline("model", "", tmp_path) == Checkpoint(folder)
