"""Where a checkpoint is and what identifies it."""

import os
import shutil
from pathlib import Path

import pytest

from stages.checkpoint import Checkpoint, component_folder, component_identity, resolve
from stages.errors import CheckpointError
from stages.stat_cache import StatCache

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vae = tmp_path / "model" / "vae"
    vae.mkdir(parents=True)
    (vae / "config.json").write_text("{}")
    (vae / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds `org/model` at COMMIT under the branch main."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--org--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "snapshots" / COMMIT / "vae").mkdir(parents=True)
    (repo / "snapshots" / COMMIT / "vae" / "config.json").write_text("{}")
    return repo


def identity(folder: Path, tmp_path: Path) -> str:
    return component_identity(Checkpoint(folder), "vae", StatCache(tmp_path / "cache.json"))


def test_the_built_in_checkpoint_has_every_component(tmp_path: Path):
    checkpoint = resolve("builtin:shapes", "", tmp_path)
    for component in ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "transformer", "scheduler", "vae"):
        assert component_folder(checkpoint, component).is_dir()


def test_a_folder_is_found_relative_to_the_project(folder: Path, tmp_path: Path):
    assert resolve("model", "", tmp_path).folder == folder
    assert resolve(str(folder), "", Path("/elsewhere")).folder == folder


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


def test_a_commit_needs_no_cache_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert resolve("org/other", COMMIT, tmp_path).commit == COMMIT


def test_a_cached_component_is_found_offline(hub: Path, tmp_path: Path):
    assert component_folder(resolve("org/model", "", tmp_path), "vae") == hub / "snapshots" / COMMIT / "vae"


@pytest.mark.usefixtures("hub")
def test_an_unknown_revision_offline_is_told(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"revision 'v2' is not in the hub's cache, and the hub cannot be asked"):
        resolve("org/model", "v2", tmp_path)


@pytest.mark.usefixtures("hub")
def test_an_uncached_component_offline_is_told(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"component `transformer` cannot be downloaded|transformer: no such"):
        component_folder(resolve("org/model", "", tmp_path), "transformer")


def test_a_folder_without_a_component_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_identity(Checkpoint(folder), "transformer", StatCache(tmp_path / "c"))
    assert str(error.value) == (
        f"{folder}: has no component `transformer`. A HunyuanVideo-1.5 checkpoint has one folder per component, "
        "as diffusers' save_pretrained writes them."
    )


def test_a_missing_folder_is_told(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        resolve("./no/such/folder", "", tmp_path)
    assert str(error.value) == (
        "model.checkpoint = './no/such/folder': no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )


def test_an_unknown_built_in_is_told_with_those_there_are(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        resolve("builtin:shape", "", tmp_path)
    assert str(error.value) == ("model.checkpoint = 'builtin:shape': no such built-in checkpoint. There is: shapes.")
