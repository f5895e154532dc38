"""Where a checkpoint is and what identifies it."""

import os
import shutil
from pathlib import Path

import pytest

from stages.errors import CheckpointError
from stages.models.checkpoint import Checkpoint, component_folder, component_identity, resolve, resolve_offline
from stages.store.stat_cache import StatCache
from tests.models.builders import COMMIT, message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vae = tmp_path / "model" / "vae"
    vae.mkdir(parents=True)
    (vae / "config.json").write_text("{}")
    (vae / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


def identity(folder: Path, tmp_path: Path) -> str:
    return component_identity(Checkpoint(folder), "vae", StatCache(tmp_path / "cache.json"))


def test_the_built_in_checkpoint_has_every_component(tmp_path: Path):
    checkpoint = resolve("builtin:shapes", "", tmp_path)
    for component in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer", "scheduler", "vae"):
        assert component_folder(checkpoint, component).is_dir()


def test_a_folder_is_found_relative_to_the_project(folder: Path, tmp_path: Path):
    assert resolve("model", "", tmp_path).folder == folder
    assert resolve(str(folder), "", Path("/elsewhere")).folder == folder


def test_outside_a_project_a_folder_is_relative_to_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder.parent)
    assert resolve("model").folder.samefile(folder)


def test_identity_is_of_the_content_wherever_it_lies(folder: Path, tmp_path: Path):
    before = identity(folder, tmp_path)
    shutil.copytree(folder, tmp_path / "copy")
    assert identity(tmp_path / "copy", tmp_path) == before
    os.utime(folder / "vae" / "config.json")
    assert identity(folder, tmp_path) == before


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "new.txt"])
def test_identity_differs_on_any_file(folder: Path, tmp_path: Path, name: str):
    before = identity(folder, tmp_path)
    (folder / "vae" / name).write_bytes(b"changed")
    assert identity(folder, tmp_path) != before


def test_identity_differs_on_a_file_name(folder: Path, tmp_path: Path):
    before = identity(folder, tmp_path)
    (folder / "vae" / "config.json").rename(folder / "vae" / "other.json")
    assert identity(folder, tmp_path) != before


def test_a_hub_id_is_identified_by_its_commit_without_the_weights(hub: Path, tmp_path: Path):
    checkpoint = resolve("org/model", "", tmp_path)
    assert component_identity(checkpoint, "transformer", StatCache(tmp_path / "c")) == f"org/model@{COMMIT}"
    assert checkpoint.folder == hub / "snapshots" / COMMIT


def test_a_cached_component_is_found_offline(hub: Path, tmp_path: Path):
    assert component_folder(resolve("org/model", "", tmp_path), "vae") == hub / "snapshots" / COMMIT / "vae"


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


def test_an_uncached_component_offline_is_reported(hub: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_folder(resolve("org/model", "", tmp_path), "transformer")
    assert str(error.value) == (
        f"{hub}/snapshots/{COMMIT}/transformer: no such folder. "
        "The checkpoint is incomplete; download or copy it again."
    )


def test_a_folder_without_a_component_is_reported(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_identity(Checkpoint(folder), "transformer", StatCache(tmp_path / "c"))
    assert str(error.value) == (
        f"{folder}: has no component `transformer`. A HunyuanVideo-1.5 checkpoint has one folder per component, "
        "as diffusers' save_pretrained writes them."
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
