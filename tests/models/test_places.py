"""Which place the name of a checkpoint means, and what is said of a name that means none."""

import shutil
from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.checkpoint import Checkpoint
from stages.models.places import list_builtin, resolve, resolve_offline
from stages.models.reference import Reference
from tests.hub_server import HubServer
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
    assert resolve_offline(Reference("org/model", "newer"), tmp_path) is None
    assert resolve_offline(Reference("org/other"), tmp_path) is None
    assert asked == []
    assert sorted(path.name for path in hub.parent.iterdir()) == ["models--org--model"]


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("revision", ["", COMMIT])
def test_offline_what_the_cache_knows_is_found(tmp_path: Path, revision: str):
    assert resolve_offline(Reference("org/model", revision), tmp_path) == resolve("org/model", COMMIT, tmp_path)


def test_offline_a_folder_is_found(folder: Path, tmp_path: Path):
    assert resolve_offline(Reference("model"), tmp_path) == Checkpoint(folder)


def component_message(place: str, root: Path) -> str:
    """What is said of `model.components.vae`."""
    with pytest.raises(CheckpointError) as error:
        resolve("builtin:shapes", "", root, components={"vae": place})
    return str(error.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("place", ["model", "./model", "{root}/model", "builtin:shapes"])
def test_a_revision_of_a_component_that_has_none_is_reported_in_the_form_in_which_it_stands(tmp_path: Path, place: str):
    place = place.format(root=tmp_path)
    assert component_message(f"{place}@main", tmp_path) == (
        f"model.components.vae = '{place}@main': only a hub id has revisions, and {place!r} is none. Take `@main` away."
    )


def test_a_folder_with_an_at_in_its_name_is_a_folder(tmp_path: Path):
    (tmp_path / "org").mkdir()
    for name in ("vae", "vae@main"):
        (tmp_path / "org" / name).mkdir()
    checkpoint = resolve("builtin:shapes", "", tmp_path, components={"vae": "org/vae@main"})
    assert checkpoint.elsewhere["vae"].folder == tmp_path / "org/vae@main"


@pytest.mark.usefixtures("hub")
def test_a_revision_of_a_component_that_is_no_name_is_reported_by_its_parameter(tmp_path: Path):
    assert component_message("org/model@..bad", tmp_path) == (
        "model.components.vae = 'org/model@..bad': behind the @ is '..bad', not the name of a branch or tag, and not a "
        "commit (40 hex digits). Correct it in params/model.toml or the video's file."
    )


@pytest.mark.usefixtures("hub")
def test_a_revision_of_a_component_that_is_not_there_is_reported_by_its_parameter(tmp_path: Path, server: HubServer):
    assert component_message("org/model@nosuch", tmp_path) == (
        "model.components.vae = 'org/model@nosuch': the commit of its revision 'nosuch' is not known: the "
        f"repository has no revision 'nosuch'. Use a branch, a tag or a commit (40 hex digits) of {server.endpoint}/"
        f"org/model. The cache has {COMMIT}: set model.components.vae = 'org/model@{COMMIT}'."
    )


def test_a_component_whose_commit_cannot_be_kept_is_reported_by_its_parameter(
    hub: Path, tmp_path: Path, server: HubServer
):
    shutil.rmtree(hub)
    hub.symlink_to(tmp_path / "nowhere")
    assert component_message("org/model", tmp_path) == (
        f"{hub}/refs/main: cannot be written (File exists). Fix its folder's permissions, or set "
        f"model.components.vae = 'org/model@{server.repos['org/model'].commit}'."
    )


def test_a_place_that_was_typed_is_corrected_on_the_command_line(tmp_path: Path):
    places = {"vae": "./nowhere"}
    with pytest.raises(CheckpointError) as error:
        resolve("gone", "", tmp_path, typed={"model.checkpoint"})
    assert str(error.value) == (
        "model.checkpoint = 'gone': no such folder, and not a hub id (owner/name). "
        "Correct the path on the command line."
    )
    for typed, where in (
        ({"model.components.vae"}, "on the command line"),
        ({"model.checkpoint"}, "in params/model.toml or the video's file"),
    ):
        with pytest.raises(CheckpointError) as error:
            resolve("builtin:shapes", "", tmp_path, components=places, typed=typed)
        assert str(error.value).endswith(f"Correct the path {where}.")


def test_the_built_in_checkpoints_can_be_used_by_the_names_that_are_listed():
    assert list_builtin() == ["builtin:shapes"]
    assert all(resolve(name).folder.is_dir() for name in list_builtin())
