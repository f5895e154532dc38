"""Where a checkpoint is and what identifies it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import filter_repo_objects

from stages.errors import CheckpointError
from stages.models.checkpoint import Checkpoint, component_folder, component_identity, resolve, resolve_offline
from stages.store.stat_cache import StatCache

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40


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
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo = tmp_path / "hub" / "models--org--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    (repo / "snapshots" / COMMIT / "vae").mkdir(parents=True)
    (repo / "snapshots" / COMMIT / "vae" / "config.json").write_text("{}")
    return repo


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The revisions that a hub, whose newest commit is NEWER, has been asked for."""
    revisions: list[str] = []

    def model_info(_self: object, _repo: str, *, revision: str) -> SimpleNamespace:
        revisions.append(revision)
        return SimpleNamespace(sha=NEWER)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    return revisions


def message(checkpoint: str, revision: str, root: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        resolve(checkpoint, revision, root)
    return str(error.value)


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


def test_a_commit_needs_no_cache_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert resolve("org/other", COMMIT, tmp_path).commit == COMMIT


@pytest.mark.parametrize("revision", ["", "v2.0", "refs/pr/1"])
def test_the_hub_is_asked_once_for_a_branch_or_tag(hub: Path, tmp_path: Path, asked: list[str], revision: str):
    name = revision or "main"
    (hub / "refs" / "main").unlink()
    assert [resolve("org/model", revision, tmp_path).commit for _ in range(3)] == [NEWER] * 3
    assert asked == [name]
    assert [path for path in (hub / "refs").rglob("*") if path.is_file()] == [hub / "refs" / name]
    assert (hub / "refs" / name).read_text() == NEWER  # as the hub's library writes it: no end of line


def test_the_hub_is_asked_again_when_the_kept_commit_is_deleted(hub: Path, tmp_path: Path, asked: list[str]):
    assert resolve("org/model", "", tmp_path).commit == COMMIT
    (hub / "refs" / "main").unlink()
    assert resolve("org/model", "", tmp_path).commit == NEWER
    assert asked == ["main"]


def test_a_kept_commit_works_offline(hub: Path, tmp_path: Path, asked: list[str]):
    (hub / "refs" / "main").unlink()
    resolve("org/model", "", tmp_path)
    program = f"from stages.models.checkpoint import *; print(resolve('org/model', '', Path({str(tmp_path)!r})).commit)"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == NEWER
    assert asked == ["main"]


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ],
)
def test_the_cache_is_where_the_hubs_library_has_it(tmp_path: Path, variable: str, below: str):
    program = f"from stages.models.checkpoint import *; print(resolve('org/model', {COMMIT!r}, Path('/')).folder)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGG", "XDG"))}
    command = [sys.executable, "-c", program]
    environment[variable] = str(tmp_path)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(result.stdout.strip()) == tmp_path / below / "models--org--model" / "snapshots" / COMMIT


def test_a_cached_component_is_found_offline(hub: Path, tmp_path: Path):
    assert component_folder(resolve("org/model", "", tmp_path), "vae") == hub / "snapshots" / COMMIT / "vae"


@pytest.mark.usefixtures("hub")
def test_only_weights_that_can_be_read_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda _repo, **options: calls.append(options))
    component_folder(resolve("org/model", "", tmp_path), "vae")
    (options,) = calls
    assert (options["revision"], options["allow_patterns"]) == (COMMIT, ["vae/*"])
    names = [f"vae/{name}" for name in ("config.json", "m.safetensors", "m.bin", "m.pt", "sub/m.onnx", "m.ckpt")]
    kept = filter_repo_objects(
        names, allow_patterns=options["allow_patterns"], ignore_patterns=options["ignore_patterns"]
    )
    assert list(kept) == ["vae/config.json", "vae/m.safetensors"]


@pytest.mark.usefixtures("hub")
def test_an_unknown_revision_offline_is_told_with_the_hubs_reason(tmp_path: Path):
    told = message("org/model", "v2", tmp_path)
    assert told.startswith(
        "model.checkpoint = 'org/model': revision 'v2' is not in the hub's cache, and the hub cannot be asked for it "
        "(OfflineModeIsEnabled: Cannot reach "
    )
    assert told.endswith("). Check the name and the network, set model.revision to a commit, or give a folder.")


@pytest.mark.usefixtures("hub")
def test_the_hubs_reason_is_told_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("403 Client Error.\n\nYou must accept its terms.")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': revision 'v2' is not in the hub's cache, and the hub cannot be asked for it "
        "(PermissionError: 403 Client Error. You must accept its terms.). Check the name and the network, set "
        "model.revision to a commit, or give a folder."
    )


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("answer", [None, "", "main", "../.."])
def test_an_answer_that_is_no_commit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None):
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: SimpleNamespace(sha=answer))
    assert message("org/model", "v2", tmp_path) == (
        "model.checkpoint = 'org/model': the hub names no commit for revision 'v2'."
    )


@pytest.mark.parametrize("content", ["", "../..", "main", COMMIT[:-1]])
def test_a_ref_that_holds_no_commit_is_told(hub: Path, tmp_path: Path, content: str):
    (hub / "refs" / "main").write_text(content)
    assert message("org/model", "", tmp_path) == (
        f"{hub}/refs/main: holds no commit (40 hex digits). Delete it; the hub is asked again."
    )


def test_a_ref_that_cannot_be_read_is_told(hub: Path, tmp_path: Path):
    (hub / "refs" / "main").write_bytes(b"\xff")
    told = message("org/model", "", tmp_path)
    assert told.startswith(f"{hub}/refs/main: cannot be read ('utf-8' codec can't decode byte 0xff")
    assert told.endswith("). Delete it; the hub is asked again.")


@pytest.mark.usefixtures("asked")
def test_a_cache_that_cannot_be_written_is_told(hub: Path, tmp_path: Path):
    shutil.rmtree(hub)
    hub.symlink_to(tmp_path / "nowhere")
    assert message("org/model", "", tmp_path) == (
        f"{hub}/refs/main: cannot be written (File exists). Mend its folder's permissions, or set model.revision to "
        f"{NEWER}."
    )


@pytest.mark.usefixtures("hub", "asked")
@pytest.mark.parametrize(
    "revision", ["/etc/hostname", "../main", "a/../../b", "a//b", "a/", ".hidden", "a/.b", "a b", "a\n"]
)
def test_a_revision_that_leads_elsewhere_is_told(tmp_path: Path, revision: str):
    assert message("org/model", revision, tmp_path) == (
        f"model.revision = {revision!r}: not the name of a branch or tag, and not a commit (40 hex digits). "
        "Correct it in params/model.toml or the video's file."
    )


@pytest.mark.parametrize(
    "name", ["../model", "./model", "org/..", "org/.model", ".org/model", "a..b/model", "a--b/model"]
)
def test_a_name_that_leads_elsewhere_is_no_hub_id(tmp_path: Path, asked: list[str], name: str):
    assert message(name, "", tmp_path) == (
        f"model.checkpoint = {name!r}: no such folder, and not a hub id (owner/name). "
        "Correct the path in params/model.toml or the video's file."
    )
    assert asked == []


def test_the_home_of_nobody_is_told(tmp_path: Path):
    assert message("~no-such-user/model", "", tmp_path) == (
        "model.checkpoint = '~no-such-user/model': not a usable path (Could not determine home directory.). "
        "Correct the path in params/model.toml or the video's file."
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["model", "builtin:shapes"])
def test_a_revision_of_what_has_none_is_told(tmp_path: Path, name: str):
    assert message(name, "v2", tmp_path) == (
        f"model.revision = 'v2': only a hub id has revisions, and model.checkpoint = {name!r} is none. "
        'Set revision = "" beside it.'
    )


def test_an_uncached_component_offline_is_told(hub: Path, tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_folder(resolve("org/model", "", tmp_path), "transformer")
    assert str(error.value) == (
        f"{hub}/snapshots/{COMMIT}/transformer: no such folder. "
        "The checkpoint is incomplete; download or copy it again."
    )


@pytest.mark.usefixtures("hub")
def test_an_uncached_commit_offline_is_told_with_the_hubs_reason(tmp_path: Path):
    with pytest.raises(CheckpointError) as error:
        component_folder(resolve("org/model", NEWER, tmp_path), "vae")
    told = str(error.value)
    assert told.startswith(f"org/model@{NEWER}: component `vae` cannot be downloaded (LocalEntryNotFoundError: ")
    assert told.endswith("). Check the name and the network, or give a folder.")


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
